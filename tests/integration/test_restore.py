"""A ledger is restored from a backup and has forgotten calls: nobody is mailed twice, by the runbook's way."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from demo.postgres import PostgresServer
from o2o_registration import actions, ledger
from o2o_registration.actions import Action, Order

from tests.integration.conftest import Pipeline, person


@pytest.fixture
def restored(pipeline: Pipeline, postgres: PostgresServer) -> Iterator[Pipeline]:
    """E1 was called before the backup, E2 refused; E2 again, E3 and E4 since; E5 by nobody yet."""
    pipeline.settings("delivery", max_wait_seconds=0.0, backoff_seconds=0.0)
    pipeline.hire(person(1))
    pipeline.run()
    pipeline.simulator.add_fault("status", status=422, next=1)
    pipeline.hire(person(2))
    pipeline.run()
    pipeline.simulator.add_fault("status", status=503, next=1)
    pipeline.hire(person(3))
    pipeline.run()
    assert pipeline.statuses() == {"E1": "created", "E2": "rejected", "E3": "pending"}
    backup = f"backup_{uuid.uuid4().hex[:12]}"
    copy(pipeline, postgres, backup)
    with pipeline.ledger.begin() as connection:
        connection.execute(sa.text("update o2o.delivery_state set wait_until = null"))
        connection.execute(sa.text("update o2o.registration set not_before = now()"))
    pipeline.mend("E2", last_name="Peeters")
    pipeline.hire(person(4))
    pipeline.run()
    assert pipeline.statuses() == dict.fromkeys(("E1", "E2", "E3", "E4"), "created")
    pipeline.ledger.dispose()
    pipeline.hire(person(5))
    pipeline.ledger = ledger.connect(postgres.url(backup))
    yield pipeline
    pipeline.ledger.dispose()
    postgres.drop_database(backup)


def copy(pipeline: Pipeline, postgres: PostgresServer, name: str) -> None:
    pipeline.ledger.dispose()
    pipeline.warehouse.dispose()
    admin = sa.create_engine(postgres.url(), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"create database {name} template {pipeline.ledger.url.database}"))
    admin.dispose()


def test_after_a_restore_by_the_runbook_nobody_is_called_twice_and_nobody_is_lost(restored: Pipeline) -> None:
    """Hold whoever is pending, let every new person wait, confirm whom o2o has, approve the rest."""
    before = Counter(restored.mails())
    usual = restored.config.settings.fuse.max_people
    restored.settings("fuse", max_people=0)
    restored.settings("in_doubt", policy="hold")
    why = "the ledger was restored"
    assert actions.carry_out(restored.ledger, Order(Action.HOLD, (), "anna", why)) == ("E3",)
    restored.run()
    assert Counter(restored.mails()) == before
    assert restored.statuses() == {"E1": "created", **dict.fromkeys(("E2", "E3", "E4", "E5"), "held")}
    theirs = tuple(sorted({employee for employee, subject in restored.mails() if "failed" not in subject} - {"E1"}))
    assert theirs == ("E2", "E3", "E4")
    assert actions.carry_out(restored.ledger, Order(Action.CONFIRM, theirs, "anna", "on o2o's list")) == theirs
    assert actions.carry_out(restored.ledger, Order(Action.APPROVE, (), "anna", why)) == ("E5",)
    restored.settings("fuse", max_people=usual)
    with restored.ledger.begin() as connection:
        connection.execute(sa.text("update o2o.delivery_state set wait_until = null"))
    restored.run()
    restored.run()
    assert Counter(restored.mails()) - before == Counter({("E5", restored.mails()[0][1]): 1})
    assert restored.statuses()["E5"] == "created"


def test_without_that_people_called_since_the_backup_would_be_called_again(restored: Pipeline) -> None:
    """Which is why the runbook comes before the unpausing."""
    with restored.ledger.begin() as connection:
        connection.execute(sa.text("update o2o.delivery_state set wait_until = null"))
        connection.execute(sa.text("update o2o.registration set not_before = now()"))
    restored.run()
    mails = Counter(employee for employee, _ in restored.mails())
    assert (mails["E3"], mails["E4"]) == (2, 2)


def test_all_who_are_confirmed_at_once_are_in_doubt_and_never_merely_held(pipeline: Pipeline) -> None:
    """A large batch that waits for an approval is not taken for people whom o2o has."""
    pipeline.settings("fuse", max_people=0)
    pipeline.hire(person(1), person(2))
    pipeline.run()
    assert actions.carry_out(pipeline.ledger, Order(Action.CONFIRM, (), "anna", "all there")) == ()
    assert pipeline.statuses() == {"E1": "held", "E2": "held"}
    assert actions.carry_out(pipeline.ledger, Order(Action.CONFIRM, ("E1",), "anna", "there")) == ("E1",)
    assert actions.carry_out(pipeline.ledger, Order(Action.APPROVE, (), "anna", "not there")) == ("E2",)
    pipeline.run()
    assert [employee for employee, _ in pipeline.mails()] == ["E2"]
