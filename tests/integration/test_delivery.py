"""Each row of the retry table, over real HTTP: what happened, what it proves, what we do."""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import Any

import pytest
import sqlalchemy as sa
from o2o_registration import errors, ledger, pace
from o2o_registration.delivery import Delivery
from o2o_registration.outbox import Outbox

from tests.integration.conftest import Pipeline, person

# fault, its options -> status of the person, outcome of the attempt
ANSWERS: list[tuple[str, dict[str, Any], str, str]] = [
    ("status", {"status": 422}, "rejected", "rejected"),
    ("status", {"status": 400}, "rejected", "rejected"),
    ("status", {"status": 409}, "rejected", "rejected"),
    ("status", {"status": 500}, "in_doubt", "in_doubt"),
    ("status", {"status": 502, "processed": True}, "in_doubt", "in_doubt"),
    ("status", {"status": 504}, "in_doubt", "in_doubt"),
    ("status", {"status": 202, "body": '{"success": true}'}, "in_doubt", "in_doubt"),
    ("status", {"status": 201, "body": '{"success": 1}'}, "in_doubt", "in_doubt"),
    ("html", {}, "in_doubt", "in_doubt"),
    ("not_json", {}, "in_doubt", "in_doubt"),
    ("contradiction", {}, "in_doubt", "in_doubt"),
    ("half_body", {}, "in_doubt", "in_doubt"),
    ("reset_after_read", {}, "in_doubt", "in_doubt"),
    ("hang", {}, "in_doubt", "in_doubt"),
    ("slow_body", {"interval": 1}, "in_doubt", "in_doubt"),
    ("huge_body", {"bytes": 100_000_000}, "in_doubt", "in_doubt"),
]


@pytest.mark.parametrize(("fault", "options", "status", "outcome"), ANSWERS)
def test_an_answer_leads_to_what_it_proves(
    pipeline: Pipeline, fault: str, options: dict[str, Any], status: str, outcome: str
) -> None:
    """One call, one closed attempt, one audit row; what may have taken effect is not repeated by itself."""
    pipeline.settings("delivery", read_seconds=0.5, connect_seconds=0.5)
    pipeline.simulator.add_fault(fault, next=1, **options)
    pipeline.hire(person(1))
    pipeline.run()
    assert pipeline.statuses() == {"E1": status}
    assert pipeline.query("select outcome, closed_at is not null from o2o.attempt") == [(outcome, True)]
    assert pipeline.query("select event from o2o.audit") == [(outcome,)]
    assert pipeline.run().calls == 0


@pytest.mark.parametrize("http_status", [429, 503])
def test_a_busy_o2o_is_called_again_when_it_asked_for(pipeline: Pipeline, http_status: int) -> None:
    """Refused and not processed: the same run repeats the call after Retry-After."""
    pipeline.simulator.add_fault("status", status=http_status, next=1, headers={"Retry-After": "1"})
    pipeline.hire(person(1))
    summary = pipeline.run()
    assert (summary.calls, summary.created, summary.not_processed) == (2, 1, 1)
    assert len(pipeline.mails()) == 1


def test_a_long_retry_after_is_not_sat_out_and_nobody_is_called_before(pipeline: Pipeline) -> None:
    """The work ends; the next run keeps the promise too."""
    pipeline.simulator.add_fault("status", status=429, next=1, headers={"Retry-After": "3600"})
    pipeline.hire(person(1), person(2))
    pipeline.settings("delivery", concurrency=1)
    pipeline.run()
    assert pipeline.last is not None
    assert pipeline.last.waiting == pytest.approx(3600, abs=30)
    assert pipeline.run().calls == 0
    assert set(pipeline.statuses().values()) == {"pending"}


@pytest.mark.parametrize(
    ("http_status", "error", "connection"),
    [
        (401, errors.WrongToken, "password of the connection 'o2o_api'"),
        (403, errors.WrongToken, "password of the connection 'o2o_api'"),
        (404, errors.WrongAddress, "connection 'o2o_api'"),
        (405, errors.WrongAddress, "connection 'o2o_api'"),
        (302, errors.WrongAddress, "connection 'o2o_api'"),
    ],
)
def test_what_concerns_every_call_stops_the_run(
    pipeline: Pipeline, http_status: int, error: type[Exception], connection: str
) -> None:
    """At once, all people pending, and the message names the connection to mend."""
    pipeline.simulator.add_fault("status", status=http_status, share=1)
    pipeline.hire(*(person(n) for n in range(50)))
    with pytest.raises(error, match=connection):
        pipeline.run()
    assert set(pipeline.statuses().values()) == {"pending"}
    assert pipeline.simulator.summary().calls <= 10
    pipeline.simulator.clear_faults()
    assert pipeline.run().created == 50


def test_a_redirect_is_not_followed_and_the_token_does_not_leave(pipeline: Pipeline) -> None:
    """307 would repeat the POST, with the token, wherever it points to."""
    pipeline.simulator.add_fault("redirect", share=1)
    pipeline.hire(person(1))
    with pytest.raises(errors.WrongAddress):
        pipeline.run()
    assert pipeline.simulator.summary().tokens_leaked == 0


def test_a_refused_connection_proves_that_nothing_was_sent(pipeline: Pipeline) -> None:
    """Pending again, later; once o2o is back everybody gets one e-mail."""
    pipeline.hire(*(person(n) for n in range(20)))
    # bound, so that nobody else listens there, and deaf
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        pipeline.url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        summary = pipeline.run()
    assert summary.in_doubt_now == 0
    assert summary.not_processed == summary.calls < 20
    pipeline.url = None
    with pipeline.ledger.begin() as connection:
        connection.execute(sa.text("update o2o.registration set not_before = now()"))
        connection.execute(sa.text("update o2o.delivery_state set wait_until = now()"))
    assert pipeline.run().created == 20
    assert len(pipeline.mails()) == 20


def test_an_outage_leaves_a_handful_in_doubt(pipeline: Pipeline) -> None:
    """The breaker opens after five failures in a row; the others stay pending."""
    pipeline.simulator.add_fault("reset_after_read", share=1, processed=False)
    pipeline.hire(*(person(n) for n in range(300)))
    summary = pipeline.run()
    assert summary.in_doubt_now <= 5
    assert summary.pending == 300 - summary.in_doubt_now


def test_who_is_in_doubt_is_called_once_more_after_the_cool_down_and_then_held(pipeline: Pipeline) -> None:
    """The policy `resend`: at most one repetition, marked in the audit."""
    pipeline.settings("in_doubt", cool_down_minutes=0.0)
    pipeline.simulator.add_fault("reset_after_read", next=2)
    pipeline.hire(person(1))
    assert pipeline.run().in_doubt == 1
    assert pipeline.run().in_doubt == 1
    assert pipeline.run().calls == 0
    assert pipeline.statuses() == {"E1": "in_doubt"}
    details = [detail for (detail,) in pipeline.query("select detail from o2o.audit order by id")]
    assert [detail.startswith("(repeated out of doubt)") for detail in details] == [False, True]


def test_the_policy_hold_repeats_nothing(pipeline: Pipeline) -> None:
    """A person decides."""
    pipeline.settings("in_doubt", cool_down_minutes=0.0, policy="hold")
    pipeline.simulator.add_fault("reset_after_read", next=1)
    pipeline.hire(person(1))
    pipeline.run()
    assert pipeline.run().calls == 0


def test_an_attempt_that_a_crash_left_open_is_in_doubt(pipeline: Pipeline) -> None:
    """Committed, never closed: the next run finds it and does not call again before the cool-down."""
    pipeline.hire(person(1))
    pipeline.token = "wrong"
    with pytest.raises(errors.WrongToken):
        pipeline.run()
    pipeline.token = "a-token-that-must-not-leak"
    with pipeline.ledger.begin() as connection:
        connection.execute(
            sa.text("""
                with crashed as (
                    insert into o2o.attempt (employee_id, run_id, kind, started_at)
                    values ('E1', 'run-1', 'first', now() - interval '5 minutes') returning id)
                update o2o.registration set status = 'claimed', attempt_id = (select id from crashed)
            """)
        )
    summary = pipeline.run()
    assert (summary.calls, summary.in_doubt_now) == (0, 1)
    assert pipeline.mails() == []


def test_no_call_leaves_before_its_attempt_is_committed(pipeline: Pipeline) -> None:
    """Seen from another session while each call hangs: the intent is there, and open."""
    pipeline.hire(*(person(n) for n in range(40)))
    seen: list[tuple[int, int]] = []
    post = pipeline.post

    def watch(run: Any) -> Any:
        done = threading.Event()

        def look() -> None:
            while not done.wait(0.01):
                calls = len(pipeline.simulator.calls)
                ((intents,),) = pipeline.query("select count(*) from o2o.attempt")
                seen.append((calls, intents))

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            return post(run)
        finally:
            done.set()
            watcher.join()

    pipeline.simulator.add_fault("latency", share=1, seconds=0.1)
    pipeline.post = watch  # type: ignore[method-assign]
    pipeline.run()
    assert any(calls for calls, _ in seen)
    assert all(calls <= intents for calls, intents in seen)


def test_no_personal_data_and_no_token_in_any_log_line(pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG, over good and bad rows and every kind of answer."""
    caplog.set_level(logging.DEBUG)
    for fault in ("html", "contradiction", "reset_after_read", "half_body"):
        pipeline.simulator.add_fault(fault, next=1)
    pipeline.hire(*(person(n, last_name="Geheimnaam") for n in range(9)), person(10, work_email="geheim@@mail"))
    pipeline.run()
    for secret in ("Geheimnaam", "Zoë", "@example", "geheim@@", pipeline.token):
        assert secret.lower() not in caplog.text.lower()


QUOTES = '{"error": "PersonnelNumber P1 is already used by Piet Peeters"}'


@pytest.mark.parametrize(("http_status", "error"), [(500, None), (429, None), (401, "HTTP 401"), (404, "HTTP 404")])
def test_o2os_words_are_for_the_ledger_alone(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture, http_status: int, error: str | None
) -> None:
    """They may quote somebody else; the logs, the exceptions and the breaker say the status."""
    caplog.set_level(logging.DEBUG)
    options = {"status": http_status, "body": QUOTES, "headers": {"Retry-After": "3600"}}
    pipeline.simulator.add_fault("status", share=1, **options)
    pipeline.settings("delivery", breaker_failures=1)
    pipeline.hire(person(1))
    said = ""
    if error is None:
        pipeline.run()
        assert pipeline.last is not None
        said += str(pipeline.last.why)
        assert f"HTTP {http_status}" in said
    else:
        with pytest.raises(errors.DeliveryStopped, match=error) as caught:
            pipeline.run()
        said += str(caught.value)
    said += caplog.text + str(pipeline.query("select detail from o2o.delivery_state"))
    assert not [word for word in ("Piet", "P1", "already used") if word in said]
    assert pipeline.query("select detail from o2o.attempt") == [
        (f"HTTP {http_status}: PersonnelNumber [personal] is already used by Piet Peeters",)
    ]


def test_a_call_that_was_announced_before_the_machine_was_suspended_is_not_made(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock that never jumps stands still meanwhile; the other tells that others may have given the call up."""
    pipeline.hire(person(1))
    jumped = [0.0]
    claim = Outbox.claim

    def suspended(self: Outbox, *arguments: Any) -> Any:
        claimed = claim(self, *arguments)
        if claimed.intents:
            jumped[0] += 3600
        return claimed

    monkeypatch.setattr(Outbox, "claim", suspended)
    monkeypatch.setattr(pace, "wall", lambda: time.time() + jumped[0])
    assert (pipeline.run().calls, pipeline.mails()) == (1, [])
    assert pipeline.query("select outcome, detail from o2o.attempt") == [
        ("not_sent", "not called: the process was frozen since it announced the call")
    ]
    assert pipeline.statuses() == {"E1": "pending"}


def test_a_stopped_delivery_ends_in_time_with_nothing_left_open(pipeline: Pipeline) -> None:
    """Airflow kills 5 s after it asked: what has no answer by then is in doubt, the rest pending."""
    pipeline.settings("delivery", read_seconds=30.0, concurrency=4)
    pipeline.simulator.add_fault("hang", share=1)
    pipeline.hire(*(person(n) for n in range(20)))
    asked: list[float] = []

    def stop_soon(delivery: Delivery) -> None:
        def stop() -> None:
            deadline = time.monotonic() + 30
            while pipeline.simulator.summary().in_flight < 4 and time.monotonic() < deadline:
                time.sleep(0.02)
            asked.append(time.monotonic())
            delivery.stop()

        threading.Thread(target=stop).start()

    pipeline.on_start = stop_soon
    pipeline.run()
    assert time.monotonic() - asked[0] < 5
    assert sorted(pipeline.statuses().values()) == ["in_doubt"] * 4 + ["pending"] * 16
    assert pipeline.query("select count(*) from o2o.attempt where closed_at is null") == [(0,)]


def test_a_delivery_that_is_stopped_before_it_begins_calls_nobody(pipeline: Pipeline) -> None:
    """The request to stop may come while the task is still connecting."""
    pipeline.hire(person(1))
    pipeline.on_start = Delivery.stop
    assert pipeline.run().calls == 0


def test_a_strangers_lock_is_an_error_and_not_a_task_that_hangs(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run fails; once the lock is gone the next one registers everybody."""
    monkeypatch.setattr(ledger, "LOCK_SECONDS", 1)
    pipeline.hire(person(1))
    with pipeline.warehouse.begin() as stranger:
        stranger.execute(sa.text("lock table o2o.registration"))
        with pytest.raises(sa.exc.OperationalError, match="lock timeout"):
            pipeline.run()
    assert pipeline.run().created == 1


def test_a_delivery_that_has_ended_may_be_stopped(pipeline: Pipeline) -> None:
    """Whoever asks, a timer say, cannot know that it is over."""
    pipeline.hire(person(1))
    started: list[Delivery] = []
    pipeline.on_start = started.append
    pipeline.run()
    started[0].stop()
