"""Checks candidates with Great Expectations; names every reason per row, and keeps no value of anybody.

Light to import: an idle run pays for neither Great Expectations nor pandas. When there are rows, import
`o2o_registration.quality.check.check` and `o2o_registration.quality.datadocs.write_page`.
"""

import os

# Great Expectations sends usage data unless told otherwise, and reads this when it is imported, which only
# modules of this package do.
os.environ["GX_ANALYTICS_ENABLED"] = "False"

from o2o_registration.quality.merge import merge
from o2o_registration.quality.model import (
    COLUMNS,
    BatchFinding,
    QualityCheckError,
    QualityResult,
    QualityRules,
    Reason,
)
from o2o_registration.quality.pages import page_name

__all__ = [
    "COLUMNS",
    "BatchFinding",
    "QualityCheckError",
    "QualityResult",
    "QualityRules",
    "Reason",
    "merge",
    "page_name",
]
