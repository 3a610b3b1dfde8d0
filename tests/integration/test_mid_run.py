"""What changes while a run is under way: other runs' batches, the ledger, its owner, the mapping, the server."""

from __future__ import annotations

from o2o_registration import building, checking, fuse

from tests.integration.conftest import Pipeline, person


def test_a_run_that_is_posting_sends_nobody_whom_another_run_has_not_weighed_yet(pipeline: Pipeline) -> None:
    """Or an older run's calls, or its cleared task, would carry a large batch past the fuse."""
    pipeline.settings("fuse", max_people=2)
    posting = pipeline.read()
    large = pipeline.read()
    pipeline.hire(*(person(number) for number in range(5)))
    large = pipeline.read(run_id=large.run_id)
    checking.check(pipeline.ledger, pipeline.config, large.run_id)
    building.build(pipeline.ledger, pipeline.config, large.run_id)
    assert pipeline.post(posting).calls == 0
    assert fuse.weigh(pipeline.ledger, pipeline.config.settings.fuse, large.run_id).asks
    assert pipeline.post(posting).calls == 0
    fuse.approve(pipeline.ledger, large.run_id, "somebody")
    assert pipeline.post(large).calls == 5
