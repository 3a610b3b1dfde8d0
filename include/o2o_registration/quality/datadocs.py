"""A run's Data Docs: one page that opens anywhere, drawn by Great Expectations from counts alone."""

from __future__ import annotations

import os
import uuid
from copy import deepcopy
from pathlib import Path
from typing import Any

from great_expectations.core.expectation_validation_result import expectationSuiteValidationResultSchema
from great_expectations.render.renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaPageView

# Registers the expectations that the page has to draw, also where nothing was checked in this process.
import o2o_registration.quality.expectations  # noqa: F401
from o2o_registration.quality.merge import Document, findings
from o2o_registration.quality.pages import page_name
from o2o_registration.quality.silence import quiet

_TEMPLATES = Path(__file__).parent / "templates"


def write_page(document: Document, run_id: str, directory: Path) -> Path:
    """Write the page of a run's `QualityResult.document`, whole or not at all, and return its path.

    The name is `pages.page_name(run_id)`; a page of the same run is replaced. Raises OSError when it cannot.
    """
    html = _render(document, run_id)
    directory.mkdir(parents=True, exist_ok=True)
    page = directory / page_name(run_id)
    unfinished = page.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        unfinished.write_text(html, encoding="utf-8", errors="replace")
        os.replace(unfinished, page)
    finally:
        unfinished.unlink(missing_ok=True)
    return page


def _render(document: Document, run_id: str) -> str:
    quiet()
    # The renderer writes into what it is given.
    validation = expectationSuiteValidationResultSchema.load(deepcopy(document))
    content = ValidationResultsPageRenderer().render(validation)
    _keep_numbers(content.sections[0])
    view = DefaultJinjaPageView(custom_views_directory=str(_TEMPLATES))
    html = view.render(
        content,
        template="page.html",
        run_id=run_id,
        rows=document["meta"]["rows"],
        bad_rows=document["meta"]["bad_rows"],
        findings=findings(document),
    )
    return str(html)


def _keep_numbers(overview: Any) -> None:
    """Of the overview only the statistics: the rest links to pages of a site that does not exist."""
    blocks = overview.content_blocks
    overview.content_blocks = [block for block in blocks if block.content_block_type == "table"]
