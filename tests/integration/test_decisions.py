"""What people decide: large batches, people in doubt; and what the pipeline keeps for them meanwhile."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from o2o_registration import actions, errors, fuse
from o2o_registration.__main__ import URL, main
from o2o_registration.actions import Action, Order
from o2o_registration.settings import FuseSettings

from tests.integration.conftest import Pipeline, person


@pytest.fixture
def doubtful(pipeline: Pipeline) -> Pipeline:
    """E1 to E3 are in doubt, under the policy `hold`; o2o mailed E1 alone."""
    pipeline.settings("in_doubt", cool_down_minutes=0.0, policy="hold", warn_at=2)
    pipeline.settings("delivery", concurrency=1)
    pipeline.simulator.add_fault("reset_after_read", next=1, processed=True)
    pipeline.simulator.add_fault("reset_after_read", next=2, processed=False)
    pipeline.hire(person(1), person(2), person(3))
    pipeline.run()
    assert set(pipeline.statuses().values()) == {"in_doubt"}
    return pipeline


def audit_of(pipeline: Pipeline, event: str) -> list[Any]:
    return pipeline.query(f"select employee_id, actor, detail from o2o.audit where event = '{event}' order by 1")


def test_confirmed_people_are_never_sent_again_and_released_ones_are_sent_once(doubtful: Pipeline) -> None:
    """Singly and all, each with who and why in the audit; everybody ends with one e-mail."""
    confirm = Order(Action.CONFIRM, ("E1", "E9"), "anna", "o2o's list of today has her")
    done = actions.carry_out(doubtful.ledger, confirm)
    assert actions.concerns(confirm, done).endswith("not in_doubt or held, so left alone: E9")
    assert actions.carry_out(doubtful.ledger, Order(Action.RELEASE, (), "bob", "not on the list")) == ("E2", "E3")
    doubtful.run()
    assert doubtful.statuses() == {"E1": "existing", "E2": "created", "E3": "created"}
    assert sorted(employee for employee, _ in doubtful.mails()) == ["E1", "E2", "E3"]
    assert audit_of(doubtful, "confirmed") == [("E1", "anna", "o2o has this person: o2o's list of today has her")]
    assert [row[:2] for row in audit_of(doubtful, "released")] == [("E2", "bob"), ("E3", "bob")]


def test_a_released_person_who_is_in_doubt_again_waits_for_a_person(doubtful: Pipeline) -> None:
    """Under the policy `resend` too: the release was the one repetition."""
    doubtful.settings("in_doubt", cool_down_minutes=0.0, policy="resend")
    actions.carry_out(doubtful.ledger, Order(Action.RELEASE, ("E2",), "bob", "missing at o2o"))
    actions.carry_out(doubtful.ledger, Order(Action.CONFIRM, ("E1", "E3"), "bob", "there"))
    doubtful.simulator.add_fault("hang", next=1)
    assert doubtful.run().in_doubt == 1
    assert doubtful.run().calls == 0


def test_a_decision_needs_a_reason() -> None:
    """The audit keeps who and why, so both must be there."""
    with pytest.raises(errors.ConfigurationError, match="why"):
        Order(Action.CONFIRM, (), "anna", "  ")


def test_a_cleared_run_does_not_carry_out_its_action_again(doubtful: Pipeline) -> None:
    """It would meet people who came into doubt since, whom nobody had in mind."""
    run = doubtful.read()
    order = Order(Action.RELEASE, ("E1",), "anna", "missing at o2o")
    assert actions.carry_out(doubtful.ledger, order, run.run_id) == ("E1",)
    again = Order(Action.RELEASE, (), "anna", "missing at o2o")
    assert actions.carry_out(doubtful.ledger, again, run.run_id) == ()


def test_the_summary_says_how_many_are_in_doubt_and_since_when(doubtful: Pipeline) -> None:
    """Since the first call, whatever was repeated later."""
    doubtful.settings("in_doubt", cool_down_minutes=0.0, policy="resend")
    with doubtful.ledger.begin() as connection:
        connection.execute(sa.text("update o2o.attempt set started_at = '2026-01-02 03:04:05+00' where id = 1"))
    doubtful.simulator.add_fault("hang", share=1)
    doubtful.settings("delivery", read_seconds=0.2, connect_seconds=0.2, breaker_failures=9)
    summary = doubtful.run()
    assert summary.doubt() == "3 people are in doubt, the first since 2026-01-02T03:04:05Z"


def test_the_command_line_lists_and_decides(
    doubtful: Pipeline, ledger_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ids on stdout for the next command, the count on stderr; no personal data."""
    monkeypatch.setenv(URL, ledger_url)
    assert main(["in-doubt"]) == 0
    out, err = capsys.readouterr()
    assert [line.split("\t")[0] for line in out.splitlines()] == ["E1", "E2", "E3"]
    assert err == "3 people in doubt\n"
    assert "@" not in out
    assert main(["confirm", "E1", "--why", "on o2o's list", "--who", "anna"]) == 0
    assert main(["release", "--all", "--why", "not on it", "--who", "anna"]) == 0
    assert doubtful.statuses() == {"E1": "existing", "E2": "pending", "E3": "pending"}
    assert main(["release", "--all", "--why", " "]) == 2
    assert "needs a reason" in capsys.readouterr().err


def test_a_row_that_hr_changes_during_the_doubt_is_sent_when_o2o_refuses_the_first(pipeline: Pipeline) -> None:
    """Even when the refusal comes long after the change has left every window."""
    pipeline.settings("in_doubt", cool_down_minutes=0.0)
    pipeline.simulator.add_fault("reset_after_read", next=1, processed=False)
    pipeline.hire(person(1))
    assert pipeline.run().in_doubt == 1
    with pipeline.ledger.begin() as connection:
        connection.execute(sa.text("update o2o.registration set not_before = now() + interval '1 day'"))
    pipeline.mend("E1", first_name="Anna")
    assert pipeline.run().known == 1
    with pipeline.ledger.begin() as connection:
        connection.execute(sa.text("update o2o.registration set not_before = now()"))
        connection.execute(sa.text("update hr.employee set changed_at = now() - interval '60 days'"))
    pipeline.simulator.add_fault("status", status=422, next=1)
    assert pipeline.run().rejected == 1
    assert pipeline.run().created == 1
    ((name,),) = pipeline.query("select payload -> 'user' ->> 'FirstName' from o2o.registration")
    assert name == "Anna"
    assert pipeline.query("select * from o2o.quarantine") == []


def test_a_row_that_hr_changes_during_the_doubt_is_forgotten_once_the_person_is_registered(pipeline: Pipeline) -> None:
    """Registered is registered: o2o learns of changes by other ways."""
    pipeline.settings("in_doubt", cool_down_minutes=0.0)
    pipeline.simulator.add_fault("reset_after_read", next=1)
    pipeline.hire(person(1))
    pipeline.run()
    pipeline.mend("E1", first_name="Anna")
    assert pipeline.run().existing == 1
    assert pipeline.run().calls == 0
    assert pipeline.query("select * from o2o.quarantine") == []


def test_a_rejected_batch_stays_held_and_the_trickle_goes_on(pipeline: Pipeline) -> None:
    """No question without news, and nobody of the batch is sent by a later run."""
    pipeline.settings("fuse", max_people=5)
    pipeline.hire(*(person(n) for n in range(6)))
    assert pipeline.run().held == 6
    assert fuse.reject(pipeline.ledger, "run-1", "anna", "large batch rejected") == 6
    assert len(audit_of(pipeline, "held")) == 6
    pipeline.hire(person(10))
    summary = pipeline.run()
    assert (summary.calls, summary.held) == (1, 6)
    assert fuse.weigh(pipeline.ledger, pipeline.config.settings.fuse, "run-x").asks is False


def test_a_rejected_batch_is_asked_about_again_when_hr_changes_one_of_its_rows(pipeline: Pipeline) -> None:
    """All of it, by the run that saw the change; the approval sends them with the new row."""
    pipeline.settings("fuse", max_people=5)
    pipeline.hire(*(person(n) for n in range(6)))
    pipeline.run()
    fuse.reject(pipeline.ledger, "run-1", "anna", "large batch rejected")
    pipeline.mend("E3", first_name="Anna")
    assert pipeline.run().held == 6
    assert fuse.approve(pipeline.ledger, "run-2", "anna") == 6
    assert pipeline.run().created == 6


def test_a_question_whose_run_was_ended_from_outside_is_asked_again_with_the_next(pipeline: Pipeline) -> None:
    """Nobody can answer it any more, and its people must not be forgotten."""
    pipeline.settings("fuse", max_people=5)
    pipeline.hire(*(person(n) for n in range(6)))
    pipeline.run()
    with pipeline.ledger.begin() as connection:
        connection.execute(sa.text("update o2o.run_summary set started_at = now() - interval '2 days'"))
    pipeline.hire(*(person(n) for n in range(10, 16)))
    assert pipeline.run().held == 12
    assert fuse.approve(pipeline.ledger, "run-2", "anna") == 12


def test_an_approved_batch_is_not_held_by_the_run_after(pipeline: Pipeline) -> None:
    """Its delivery may take longer than five minutes."""
    pipeline.settings("fuse", max_people=5)
    pipeline.hire(*(person(n) for n in range(6)))
    pipeline.run()
    fuse.approve(pipeline.ledger, "run-1", "anna")
    assert fuse.weigh(pipeline.ledger, pipeline.config.settings.fuse, "run-2").asks is False


def test_held_people_can_be_approved_by_name(pipeline: Pipeline) -> None:
    """After a rejection too."""
    pipeline.settings("fuse", max_people=5)
    pipeline.hire(*(person(n) for n in range(6)))
    pipeline.run()
    fuse.reject(pipeline.ledger, "run-1", "anna", "large batch rejected")
    actions.carry_out(pipeline.ledger, Order(Action.APPROVE, ("E1", "E2"), "anna", "these two are right"))
    assert pipeline.run().created == 2


def test_a_batch_far_over_the_usual_is_held_though_it_is_below_the_absolute_limit(pipeline: Pipeline) -> None:
    """Ten times the 95th percentile of the last 30 days' runs; idle runs are experience, too."""
    pipeline.settings("fuse", max_people=500, times_usual=10, min_people=5)
    with pipeline.ledger.begin() as connection:
        connection.execute(
            sa.text("""
                insert into o2o.run_summary (run_id, kind, window_until, contiguous, registered, started_at, settled_at)
                select 'past-' || n, 'scheduled', now(), true, n % 2, now() - interval '2 days', now()
                from generate_series(1, 200) as n
            """)
        )
    pipeline.hire(*(person(n) for n in range(10)))
    assert pipeline.run().created == 10
    pipeline.hire(*(person(n) for n in range(20, 31)))
    assert pipeline.run().held == 11


@pytest.mark.parametrize(
    ("usual", "by_hand", "limit"), [(None, None, 500), (0, None, 50), (20, None, 200), (90, None, 500), (0, 7000, 7000)]
)
def test_the_limit_is_the_usual_tenfold_within_bounds(usual: float | None, by_hand: int | None, limit: int) -> None:
    """Without experience the absolute limit alone; a limit given by hand goes before all."""
    assert fuse.limit(FuseSettings(), usual, by_hand) == limit


def test_refused_people_are_sent_again_when_somebody_says_so(pipeline: Pipeline) -> None:
    """Unless the address belongs to somebody else by now: one address is one person."""
    pipeline.settings("delivery", concurrency=1)
    pipeline.simulator.add_fault("status", status=422, next=2)
    pipeline.hire(person(1), person(2))
    assert pipeline.run().rejected == 2
    pipeline.hire(person(3, work_email="e2@example.com"))
    assert pipeline.run().created == 1
    order = Order(Action.RETRY, (), "anna", "o2o mended the bike plan")
    done = actions.carry_out(pipeline.ledger, order)
    assert done == ("E1",)
    assert pipeline.run().created == 1
    assert pipeline.statuses() == {"E1": "created", "E2": "rejected", "E3": "created"}


def test_of_two_refused_people_with_one_address_the_later_is_sent_again_and_the_rest_with_them(
    pipeline: Pipeline,
) -> None:
    """A refusal frees the address, so that another may have been refused under it since."""
    pipeline.simulator.add_fault("status", status=422, next=3)
    for one in (person(1), person(2, work_email="e1@example.com"), person(3)):
        pipeline.hire(one)
        assert pipeline.run().rejected == 1
    order = Order(Action.RETRY, ("E1", "E2", "E3"), "anna", "o2o mended the bike plan")
    done = actions.carry_out(pipeline.ledger, order)
    assert done == ("E2", "E3")
    assert "so left alone: E1" in actions.concerns(order, done)
    assert pipeline.run().created == 2
    assert pipeline.statuses() == {"E1": "rejected", "E2": "created", "E3": "created"}


@pytest.mark.parametrize(
    ("ids", "why", "kept"),
    [
        # who is meant is named, or one of all, or only mentioned
        (("E1", "17"), "Al (17, P-1), al@x.be; also all", "[personal] ([personal], [personal]), [e-mail]; also all"),
        ((), "AL and De Smet, 17 May 2026, not 4711", "[personal] and [personal], 17 May 2026, not [personal]"),
        (("E1",), "as E2's, of 17 May; see #4711, Bo", "as [personal]'s, of 17 May; see #[personal], [personal]"),
        (("E1", "E9"), "E9 - who? - and Smet", "[personal] - who? - and Smet"),
    ],
)
def test_a_reason_is_kept_without_the_people_it_is_about(
    pipeline: Pipeline, ids: tuple[str, ...], why: str, kept: str
) -> None:
    """Whole words alone; a number that may be a day or a year goes only where its person is named."""
    pipeline.settings("fuse", max_people=0)
    pipeline.hire(
        person(1, first_name="Al", last_name="De Smet", personnel_number="P-1"),
        person(2, first_name="-", personnel_number="2026"),
        person(17, employee_id="17"),
        person(3, employee_id="4711", first_name="Bo"),
    )
    pipeline.run()
    actions.carry_out(pipeline.ledger, Order(Action.APPROVE, ids, "anna", why))
    assert {detail for _, _, detail in audit_of(pipeline, "approved")} == {f"to be sent although held: {kept}"}


def test_a_reason_is_in_the_audit_alone(doubtful: Pipeline) -> None:
    """Lists and logs are read by many, and somebody's reason is about one of them."""
    order = Order(Action.CONFIRM, (), "anna", "a long story")
    done = actions.carry_out(doubtful.ledger, order)
    assert actions.concerns(order, done) == "confirm in doubt: 3 people (anna)"
    assert set(doubtful.query("select detail from o2o.registration")) == {("o2o has this person",)}
    assert audit_of(doubtful, "confirmed")[0] == ("E1", "anna", "o2o has this person: a long story")


def test_a_decision_about_very_many_people_looks_for_their_names_in_seconds(pipeline: Pipeline) -> None:
    """As when a whole company was held."""
    with pipeline.ledger.begin() as connection:
        connection.execute(
            sa.text("""
                insert into o2o.registration (employee_id, status, email_key, payload, fingerprint, run_id)
                select 'E' || n, 'held', n, jsonb_build_object('user', jsonb_build_object(
                           'FirstName', 'First' || n, 'LastName', 'Last' || n, 'Email', n || '@example.com',
                           'PersonnelNumber', 'P' || n, 'Language', 'NL')), '', 'r'
                from generate_series(1, 30000) as n
            """)
        )
    began = time.monotonic()
    order = Order(Action.APPROVE, (), "anna", "First29999 LAST7 phoned for P12345")
    assert len(actions.carry_out(pipeline.ledger, order)) == 30_000
    assert time.monotonic() - began < 15
    kept = "select distinct detail from o2o.audit"
    assert pipeline.query(kept) == [("to be sent although held: [personal] [personal] phoned for [personal]",)]


def test_the_trigger_form_offers_every_action() -> None:
    """The DAG file names them itself, since it imports nothing of the domain."""
    dag = Path(__file__).resolve().parents[2] / "dags" / "o2o_register_interested_employees.py"
    assert all(f'"{action}"' in dag.read_text() for action in Action)
