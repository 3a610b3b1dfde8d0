"""Tells people: whichever Airflow notifiers settings.yaml names, made only when there is something to tell."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from o2o_registration.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Context
    from o2o_registration.settings import Notifier

log = logging.getLogger("airflow.task")


def on_failure(client: str) -> Callable[[Context], None]:
    """What a client's tasks call when they fail for good."""

    def tell_of_failure(context: Context) -> None:
        from o2o_registration.config import load_config

        tell(load_config(client=client).settings.notify.on_failure, context)

    return tell_of_failure


def tell(notifiers: Iterable[Notifier], context: Context) -> None:
    """Call each. One that fails is logged and keeps neither the others nor the task from going on."""
    for one in notifiers:
        try:
            _made(one)(context)
        except Exception as error:  # noqa: BLE001 - whoever cannot be told must not stop the registrations
            log.error(
                "The notifier %s of settings.yaml (notify) failed: %s: %s", one.notifier, type(error).__name__, error
            )
        else:
            log.info("Told by %s", one.notifier.rpartition(".")[2])


def _made(one: Notifier) -> Any:
    module, _, name = one.notifier.rpartition(".")
    try:
        return getattr(import_module(module), name)(**one.arguments)
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigurationError(f"it cannot be made ({error}); mend its path or its arguments") from None
