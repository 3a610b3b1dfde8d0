"""The trigger form's employee ids mean the same to each task, however somebody typed them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import Pipeline
from tests.integration.operators import Operators, deployed
from tests.integration.test_who_defers import ready

pytestmark = pytest.mark.usefixtures("airflow_imported")


@pytest.fixture
def operators(pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operators:
    return deployed(pipeline, tmp_path / "config", monkeypatch)


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        pytest.param([" E1", "E2\t", "E1", " "], {"E1", "E2"}, id="with blanks: those named"),
        pytest.param([" "], {"E1", "E2", "E3"}, id="a line left blank: nobody named, so everybody"),
        pytest.param(None, {"E1", "E2", "E3"}, id="nothing"),
    ],
)
def test_whom_the_extract_reads_the_delivery_sends(
    operators: Operators, pipeline: Pipeline, typed: list[str] | None, sent: set[str]
) -> None:
    pipeline.settings("delivery", people_per_shard=1, max_shards=9)
    run_id = ready(pipeline, 1, 2, 3)
    assert len(operators.approve(run_id, employee_ids=typed)) == len(sent)
    operators.post(run_id, employee_ids=typed)
    assert {who for who, _ in pipeline.mails()} == sent
