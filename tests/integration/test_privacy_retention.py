"""What the nightly maintenance forgets, and that nobody is called again for it."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from o2o_registration import actions, audit, building, checking, errors, fuse
from o2o_registration.actions import Action, Order
from o2o_registration.desk import people
from o2o_registration.privacy import pseudonyms
from o2o_registration.privacy.retention import JOBS, forget, forget_pages
from o2o_registration.settings import PrivacySettings

from tests.integration.conftest import Pipeline, person

KEY = "a-key-that-only-the-tests-know-and-nobody-else"
SETTINGS = PrivacySettings(batch_rows=2)
NAMES, ANSWERS, ASIDE, BROKEN, IDS = (job.what for job in JOBS)


def age(pipeline: Pipeline, days: float) -> None:
    """Everything of the ledger but the audit's dates is so many days older; HR's rows stay as new as they were."""
    by = f"- interval '{days} days'"
    with pipeline.ledger.begin() as connection:
        for table, columns in {
            "registration": ("updated_at", "created_at"),
            "attempt": ("started_at", "closed_at"),
            "quarantine": ("quarantined_at",),
            "run_summary": ("started_at", "settled_at"),
        }.items():
            changes = ", ".join(f"{column} = {column} {by}" for column in columns)
            connection.execute(sa.text(f"update o2o.{table} set {changes}"))


def maintain(pipeline: Pipeline, dry_run: bool = False) -> dict[str, int]:
    pipeline.key = pipeline.key or (None if dry_run else KEY)
    return forget(pipeline.ledger, SETTINGS, KEY, "night-1", dry_run)


def dump(ledger: sa.Engine) -> list[str]:
    """Every row of every table of the ledger, as text."""
    with ledger.connect() as connection:
        tables = connection.scalars(
            sa.text("select table_name from information_schema.tables where table_schema = 'o2o'")
        )
        return [
            f"{table} {row[0]}"
            for table in sorted(tables)
            for row in connection.execute(sa.text(f"select cast(t as text) from o2o.{table} t order by 1"))
        ]


def payloads(pipeline: Pipeline) -> int:
    return int(pipeline.query("select count(*) from o2o.registration where payload <> '{}'")[0][0])


@pytest.fixture
def five(pipeline: Pipeline) -> Pipeline:
    """Five people, registered."""
    pipeline.hire(*(person(n) for n in range(1, 6)))
    pipeline.run()
    return pipeline


@pytest.mark.parametrize(("days", "forgotten"), [(89.9, 0), (90.1, 5)])
def test_names_and_addresses_go_when_their_time_is_over_and_no_sooner(
    five: Pipeline, days: float, forgotten: int
) -> None:
    """In batches of two; whoever is forgotten is known by the employee id, and a second night finds nothing."""
    age(five, days)
    assert maintain(five)[NAMES] == forgotten
    assert payloads(five) == 5 - forgotten
    text = "\n".join(dump(five.ledger))
    assert ("Janssens" in text, "e1@example.com" in text.lower()) == (not forgotten, not forgotten)
    assert maintain(five)[NAMES] == 0
    assert set(five.statuses()) == {f"E{n}" for n in range(1, 6)}


@pytest.mark.parametrize(("days", "forgotten"), [(29.9, 0), (30.1, 5)])
def test_answers_of_o2o_go_when_their_time_is_over(five: Pipeline, days: float, forgotten: int) -> None:
    age(five, days)
    assert maintain(five)[ANSWERS] == forgotten
    assert five.query("select count(*) from o2o.attempt where response is null")[0][0] == forgotten


@pytest.mark.parametrize(("days", "forgotten"), [(89.9, 0), (90.1, 1)])
def test_rows_set_aside_go_when_hr_has_neither_mended_nor_delivered_them(
    pipeline: Pipeline, days: float, forgotten: int
) -> None:
    """That somebody was set aside, and by which code, stays in the audit; mended, the person is registered."""
    pipeline.hire(person(1, work_email="nope", last_name="Geheim"))
    pipeline.run()
    age(pipeline, days)
    assert maintain(pipeline)[ASIDE] == forgotten
    assert len(pipeline.query("select * from o2o.quarantine")) == 1 - forgotten
    facts = pipeline.query("select event, detail, left(employee_id, 10) from o2o.audit")
    assert facts == [("set aside and forgotten", "email_invalid", "pseudonym:")] * forgotten
    pipeline.mend("E1", work_email="one@example.com")
    assert pipeline.run().created == 1


def test_a_row_set_aside_that_hr_still_delivers_stays(pipeline: Pipeline) -> None:
    """It was seen by a run of today, however long it has been bad."""
    pipeline.hire(person(1, work_email="nope"))
    pipeline.run()
    age(pipeline, 200)
    assert pipeline.run().known == 1
    assert maintain(pipeline)[ASIDE] == 0


@pytest.mark.parametrize(("days", "forgotten"), [(6.9, 0), (7.1, 1)])
def test_rows_of_a_run_that_broke_off_go(pipeline: Pipeline, days: float, forgotten: int) -> None:
    """And the person in them is registered by the next run, which reads the window again."""
    pipeline.hire(person(1))
    pipeline.read()
    age(pipeline, days)
    assert maintain(pipeline)[BROKEN] == forgotten
    assert len(pipeline.query("select * from o2o.candidate")) == 1 - forgotten
    assert pipeline.run().created == 1


def test_after_two_years_the_facts_stay_under_a_pseudonym(five: Pipeline) -> None:
    """No employee id is left but in what HR delivers, nobody is called again, and the numbers are the same."""
    five.hire(person(9, work_email="E1@example.com"))
    age(five, 729.9)
    assert maintain(five)[IDS] == 0
    age(five, 0.2)
    assert maintain(five)[IDS] == 5
    assert not any(row in "\n".join(dump(five.ledger)) for row in ("E1,", '"E1"', "(E1"))
    assert set(five.statuses().values()) == {"created"}
    assert five.query("select event, count(distinct employee_id) from o2o.audit group by 1") == [("created", 5)]
    summary = five.run()
    assert (summary.extracted, summary.known, summary.quarantined, summary.calls) == (6, 5, 1, 0)
    assert len(five.mails()) == 5
    matches = people.find(five.ledger, "E1", KEY)
    found = people.person(five.ledger, matches[0])
    assert found is not None
    assert [event.what for event in found.events if event.what == "created"] == ["created"]


def test_whoever_still_waits_is_not_forgotten_however_old(pipeline: Pipeline) -> None:
    """Pending, held, in doubt: their data is still needed."""
    pipeline.settings("in_doubt", policy="hold")
    pipeline.hire(person(1))
    pipeline.simulator.add_fault("reset_after_read", next=1)
    pipeline.run()
    pipeline.hire(person(2))
    pipeline.token = "wrong"
    with pytest.raises(errors.WrongToken):
        pipeline.run()
    pipeline.settings("fuse", max_people=0)
    pipeline.hire(person(3))
    pipeline.run()
    audit.load(pipeline.ledger)
    assert set(pipeline.statuses().values()) == {"in_doubt", "pending", "held"}
    age(pipeline, 5000)
    before = payloads(pipeline)
    counts = maintain(pipeline)
    assert (counts[NAMES], counts[IDS], payloads(pipeline), before) == (0, 0, 3, 3)


def test_an_attempt_without_its_audit_row_keeps_its_person(five: Pipeline) -> None:
    """The audit comes first."""
    with five.ledger.begin() as connection:
        connection.execute(sa.text("update o2o.attempt set audited = false where employee_id = 'E1'"))
    age(five, 5000)
    counts = maintain(five)
    assert (counts[NAMES], counts[IDS], counts[ANSWERS]) == (4, 4, 4)
    audit.load(five.ledger)
    assert maintain(five)[IDS] == 1


@pytest.mark.parametrize("days", [91, 800])
def test_a_refused_person_who_was_forgotten_is_sent_again_only_when_hr_changes_the_row(
    pipeline: Pipeline, days: int
) -> None:
    """Forgotten or under a pseudonym: unchanged the row is known, changed it is the person's own again."""
    pipeline.simulator.add_fault("status", status=422, next=1)
    pipeline.hire(person(1))
    pipeline.run()
    age(pipeline, days)
    maintain(pipeline)
    assert pipeline.run().calls == 0
    retry = Order(Action.RETRY, ("E1",), "anna", "mended at o2o")
    done = actions.carry_out(pipeline.ledger, retry)
    assert actions.concerns(retry, done).endswith("so left alone: E1")
    assert pipeline.run().calls == 0
    pipeline.mend("E1", last_name="Peeters")
    assert pipeline.run().created == 1
    assert pipeline.statuses() == {"E1": "created"}
    assert pipeline.query("select forgotten_at from o2o.registration") == [(None,)]


def test_a_forgotten_address_is_not_sent_for_another_employee(five: Pipeline) -> None:
    """Whether the other row was read before or after the night."""
    five.hire(person(7, work_email="E1@EXAMPLE.com"))
    run = five.read()
    age(five, 91)
    assert maintain(five)[NAMES] == 5
    checking.check(five.ledger, five.config, run.run_id)
    building.build(five.ledger, five.config, run.run_id, key=KEY)
    five.hire(person(8, work_email="e2@example.com"))
    assert five.run().calls == 0
    reasons = five.query("select source_key, reasons -> 0 ->> 'code' from o2o.quarantine order by 1")
    assert reasons == [("E7", "email_taken"), ("E8", "email_taken")]


@pytest.mark.parametrize("key", [None, "another-key-that-is-long-enough-to-be-taken"])
def test_a_missing_or_wrong_key_stops_the_run_before_any_call(five: Pipeline, key: str | None) -> None:
    """Nothing is read or kept; with the right key the same run goes on."""
    maintain(five)
    five.hire(person(6))
    five.key = key
    before = dump(five.ledger)
    with pytest.raises(errors.ConfigurationError, match="o2o_privacy"):
        five.run()
    with pytest.raises(errors.ConfigurationError, match="o2o_privacy"):
        forget(five.ledger, SETTINGS, key, "night-2")
    with pytest.raises(errors.ConfigurationError, match="o2o_privacy"):
        people.find(five.ledger, "E1", key)
    assert dump(five.ledger) == before
    five.key = KEY
    assert five.run().calls == 1


def test_a_wrong_key_stops_a_run_between_extract_and_build(five: Pipeline) -> None:
    """A task that is cleared on a machine with another key."""
    maintain(five)
    five.hire(person(6))
    run = five.read()
    with pytest.raises(errors.ConfigurationError, match="not the one"):
        building.build(five.ledger, five.config, run.run_id, key=KEY + "x")
    assert len(five.statuses()) == 5


def test_adopting_the_key_changes_no_fate(pipeline: Pipeline) -> None:
    """A run is in the middle, one person is refused, one set aside: all are recognised by what is kept of them."""
    pipeline.simulator.add_fault("status", status=422, next=1)
    pipeline.hire(person(1))
    pipeline.run()
    pipeline.hire(person(2, work_email="nope"), person(3, employee_id="", work_email="nobody@example.com"))
    pipeline.run()
    pipeline.hire(person(4))
    middle = pipeline.read()
    pipeline.key = KEY
    assert maintain(pipeline)[NAMES] == 0
    assert not [row for row in dump(pipeline.ledger) if row.startswith("registration") and ",e1@example.com," in row]
    checking.check(pipeline.ledger, pipeline.config, middle.run_id)
    building.build(pipeline.ledger, pipeline.config, middle.run_id, key=KEY)
    fuse.weigh(pipeline.ledger, pipeline.config.settings.fuse, middle.run_id)
    pipeline.post(middle)
    summary = pipeline.run()
    assert (summary.extracted, summary.known, summary.calls) == (4, 4, 0)
    assert pipeline.statuses() == {"E1": "rejected", "E4": "created"}
    assert people.find(pipeline.ledger, "E4@example.com", KEY) == ["E4"]


def test_the_key_is_not_adopted_while_calls_are_under_way(five: Pipeline) -> None:
    """An answer that waits for the ledger's locks might be lost."""
    with five.ledger.begin() as connection:
        connection.execute(sa.text("update o2o.attempt set closed_at = null where employee_id = 'E1'"))
    with pytest.raises(errors.LedgerError, match="under way"):
        maintain(five)
    assert five.query("select * from o2o.privacy_key") == []


@pytest.mark.parametrize(("key", "words"), [(None, "no key"), ("short", "shorter than 32")])
def test_the_maintenance_needs_a_key_that_cannot_be_guessed(five: Pipeline, key: str | None, words: str) -> None:
    before = dump(five.ledger)
    with pytest.raises(errors.ConfigurationError, match=words):
        forget(five.ledger, SETTINGS, key, "night")
    assert dump(five.ledger) == before


def test_a_dry_run_counts_and_changes_nothing(five: Pipeline) -> None:
    """Its numbers are those of the real one."""
    five.hire(person(6, work_email="nope"))
    five.run()
    age(five, 800)
    before = dump(five.ledger)
    counts = maintain(five, dry_run=True)
    assert dump(five.ledger) == before
    assert counts == {NAMES: 5, ANSWERS: 5, ASIDE: 1, BROKEN: 0, IDS: 5}
    assert maintain(five) == counts
    assert five.query("select run_id, counts ->> 'answers of o2o' from o2o.maintenance") == [("night-1", "5")]


def test_the_maintenance_runs_beside_a_run_in_progress(pipeline: Pipeline) -> None:
    """Again and again during forty calls; everybody is mailed once and the run adds up."""
    pipeline.hire(*(person(n) for n in range(20)))
    pipeline.run()
    maintain(pipeline)
    age(pipeline, 800)
    pipeline.settings("delivery", calls_per_second=40.0)
    pipeline.hire(*(person(n) for n in range(20, 60)))
    nights: list[dict[str, int]] = []
    failed: list[Exception] = []
    done = threading.Event()

    def nightly() -> None:
        try:
            while not done.is_set():
                nights.append(maintain(pipeline))
        except Exception as error:  # noqa: BLE001 - the assertion below shows it
            failed.append(error)

    thread = threading.Thread(target=nightly)
    thread.start()
    try:
        summary = pipeline.run()
    finally:
        done.set()
        thread.join()
    assert failed == []
    assert (summary.created, len(pipeline.mails()), len({id for id, _ in pipeline.mails()})) == (40, 60, 60)
    assert sum(night[IDS] for night in nights) == 20
    assert len(nights) > 3
    assert pipeline.run().calls == 0


def test_nobody_is_pseudonymised_while_a_run_reads(five: Pipeline) -> None:
    """It waits without standing in the way of others."""
    maintain(five)
    age(five, 800)
    with five.ledger.connect() as reading, reading.begin():
        pseudonyms.enter(reading, KEY)
        night = threading.Thread(target=maintain, args=(five,))
        night.start()
        time.sleep(0.5)
        assert night.is_alive()
        with five.ledger.begin() as another:
            pseudonyms.enter(another, KEY)
        assert "E1" in five.statuses()
    night.join(20)
    assert "E1" not in five.statuses()


def test_of_the_audit_nothing_but_an_id_can_become_something_else(five: Pipeline) -> None:
    """Once, and only a pseudonym; the database itself sees to that."""
    pseudonym = "pseudonym:" + "0" * 32
    allowed = f"update o2o.audit set employee_id = '{pseudonym}', detail = null where employee_id = 'E1'"
    refused = [
        f"update o2o.audit set employee_id = '{pseudonym}', at = now() where employee_id = 'E2'",
        f"update o2o.audit set employee_id = '{pseudonym}', event = 'x' where employee_id = 'E2'",
        f"update o2o.audit set employee_id = '{pseudonym}', detail = 'x' where employee_id = 'E2'",
        "update o2o.audit set employee_id = 'E3' where employee_id = 'E2'",
        "update o2o.audit set detail = null where employee_id = 'E2'",
        f"update o2o.audit set employee_id = '{pseudonym[:-1]}1' where employee_id = '{pseudonym}'",
        "delete from o2o.audit",
        "truncate o2o.audit",
    ]
    with five.ledger.begin() as connection:
        connection.execute(sa.text(allowed))
    for statement in refused:
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), five.ledger.begin() as connection:
            connection.execute(sa.text(statement))


def test_a_forgotten_person_cannot_be_made_to_wait_for_a_call(five: Pipeline) -> None:
    """There is nothing left that could be sent."""
    age(five, 91)
    maintain(five)
    with pytest.raises(sa.exc.IntegrityError), five.ledger.begin() as connection:
        connection.execute(sa.text("update o2o.registration set status = 'pending'"))


def test_old_data_docs_are_deleted_and_nothing_else(tmp_path: Path) -> None:
    """Pages and unfinished ones, by their age."""
    old = datetime.now(UTC).timestamp() - 31 * 86_400
    files: dict[str, Any] = {"old.html": old, ".half.tmp": old, "new.html": old + 2 * 86_400, "old.txt": old}
    for name, at in files.items():
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (at, at))
    assert forget_pages(tmp_path, 30, dry_run=True) == 2
    assert len(list(tmp_path.iterdir())) == 4
    assert forget_pages(tmp_path, 30) == 2
    assert sorted(file.name for file in tmp_path.iterdir()) == ["new.html", "old.txt"]
