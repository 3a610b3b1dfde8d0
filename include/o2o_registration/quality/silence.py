"""Keeps Great Expectations out of the task log: what it says about an error quotes rows."""

from __future__ import annotations

import logging

_LOGGERS = (
    "great_expectations",
    # sets a level of its own when it is imported
    "great_expectations.data_context.types.base",
)


def quiet() -> None:
    """Close Great Expectations' own loggers, and no other.

    Called before each use, since whoever configures logging in between may have undone it.
    """
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
