"""What the page is told: where a person stands, in plain words, and who is stuck."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from o2o_registration.desk import overview, people, worklists
from o2o_registration.desk.masking import mask, masked

from tests.integration.conftest import Pipeline, person


def sentence(pipeline: Pipeline, employee_id: str) -> str:
    found = people.person(pipeline.ledger, employee_id)
    assert found is not None
    return found.sentence


@pytest.fixture
def varied(pipeline: Pipeline) -> Pipeline:
    """Everybody is somewhere else: E1 registered, E2 refused, E3 in doubt, E4 set aside."""
    pipeline.settings("delivery", concurrency=1)
    pipeline.hire(person(1), person(4, work_email="nope", language_code="de"))
    pipeline.run()
    pipeline.simulator.add_fault("status", status=422, next=1)
    pipeline.hire(person(2))
    pipeline.run()
    pipeline.simulator.add_fault("reset_after_read", next=1)
    pipeline.hire(person(3))
    pipeline.run()
    return pipeline


def test_a_sentence_says_where_a_person_stands(varied: Pipeline) -> None:
    """What happened, when, and what comes next."""
    assert sentence(varied, "E1").startswith("Registered with o2o on ")
    assert "Refused by o2o on " in sentence(varied, "E2")
    assert "HTTP 422" in sentence(varied, "E2")
    assert sentence(varied, "E2").endswith("Will be sent again when HR changes the row.")
    assert "its answer is not known" in sentence(varied, "E3")
    assert "Set aside on " in sentence(varied, "E4")
    assert people.person(varied.ledger, "E5") is None


@pytest.mark.parametrize("query", ["E3", " E3 ", "P3", "E3@example.com", "e3@EXAMPLE.com"])
def test_a_person_is_found_by_id_number_or_address(varied: Pipeline, query: str) -> None:
    """However it is typed."""
    assert people.find(varied.ledger, query) == ["E3"]


def test_a_row_that_was_set_aside_is_found_too(varied: Pipeline) -> None:
    """By what it has, bad as it is."""
    assert people.find(varied.ledger, "P4") == people.find(varied.ledger, "nope") == ["E4"]
    assert people.find(varied.ledger, "' or true --") == []


def test_the_timeline_is_in_order_and_has_calls_and_outcomes(varied: Pipeline) -> None:
    """As they happened."""
    found = people.person(varied.ledger, "E3")
    assert found is not None
    assert [event.what for event in found.events] == ["checked", "call", "in_doubt"]


def test_the_overview_counts_the_funnel_and_its_losses(varied: Pipeline) -> None:
    """Interested, checked, sent, registered; each loss by its reason."""
    seen = overview.overview(varied.ledger, varied.config.settings)
    assert seen["funnel"] == {"interested": 4, "checked": 3, "sent": 3, "registered": 1}
    assert {(loss["kind"], loss["reason"]) for loss in seen["losses"]} >= {
        ("quarantined", "email_invalid"),
        ("quarantined", "language_unknown"),
    }
    assert seen["days"][-1] | {"at": 0} == {"at": 0, "created": 1, "existing": 0, "rejected": 1}
    assert [run["run_id"] for run in seen["runs"]] == ["run-3", "run-2", "run-1"]
    assert seen["oldest"]["in_doubt"]
    assert not seen["breaker"]["open"]


def test_who_is_not_sent_yet_is_checked_but_not_sent(pipeline: Pipeline) -> None:
    """Held people passed the checks."""
    pipeline.settings("fuse", max_people=1)
    pipeline.hire(person(1), person(2))
    pipeline.run()
    seen = overview.overview(pipeline.ledger, pipeline.config.settings)
    assert seen["funnel"] == {"interested": 2, "checked": 2, "sent": 0, "registered": 0}
    assert seen["fuse"]["held"] == 2
    assert sentence(pipeline, "E1") == "Waits until somebody approves (waits for a person to approve the large batch)."


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", ["since", "employee_id", "reason"])
@pytest.mark.parametrize("name", ["rejected", "quarantined"])
def test_a_worklist_pages_through_all_of_it_once(pipeline: Pipeline, name: Any, sort: Any, descending: bool) -> None:
    """In order, none twice, none left out, also where many have the same time or reason."""
    with pipeline.ledger.begin() as connection:
        connection.execute(sa.text(_MANY[name]))
    seen: list[dict[str, Any]] = []
    after = None
    while True:
        page = worklists.page(pipeline.ledger, name, after=after, sort=sort, descending=descending, size=40)
        seen += page.rows
        after = page.after
        if after is None:
            break
    values = [row[sort] for row in seen]
    assert values == sorted(values, reverse=descending)
    assert sort == "employee_id" or len(set(values)) in (3, 7)
    assert {row["employee_id"] for row in seen} == {f"E{number}" for number in range(205)}
    assert len(seen) == len(list(worklists.rows(pipeline.ledger, name))) == 205
    assert worklists.page(pipeline.ledger, name, reason="none such").rows == []


_MANY = {
    "rejected": """
        insert into o2o.registration (employee_id, status, email_key, payload, fingerprint, run_id, detail, updated_at)
        select 'E' || n, 'rejected', n, '{"user": {}}', '', 'r', 'HTTP ' || 400 + n % 3,
               timestamptz '2026-01-01' + n % 7 * interval '1 day'
        from generate_series(0, 204) as n
    """,
    "quarantined": """
        insert into o2o.quarantine (source_key, fingerprint, "row", reasons, run_id, quarantined_at)
        select 'E' || n, '', '{}', jsonb_build_array(jsonb_build_object('code', 'x', 'words', n % 3)), 'r',
               timestamptz '2026-01-01' + n % 7 * interval '1 day'
        from generate_series(0, 204) as n
    """,
}


def test_masked_data_can_be_recognised_and_not_used() -> None:
    """Only what is personal."""
    assert mask("jan@example.com") == "j…@e…"
    assert masked({"LastName": "Janssens", "Language": "NL", "email": None}) == {
        "LastName": "J…",
        "Language": "NL",
        "email": None,
    }
