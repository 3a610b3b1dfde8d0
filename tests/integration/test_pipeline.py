"""The way of a row, from the HR warehouse to the audit, over a real PostgreSQL and real HTTP."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from o2o_registration import audit, errors, fuse
from o2o_registration.ledger import check_version, upgrade
from o2o_registration.ledger.tables import metadata

from tests.integration.conftest import Pipeline, person


def test_the_migrations_make_the_tables_that_the_code_describes(ledger_url: str, ledger_engine: sa.Engine) -> None:
    """Alembic's comparison finds no difference, and a second upgrade changes nothing."""
    upgrade(ledger_url)
    check_version(ledger_engine)
    with ledger_engine.connect() as connection:
        options = {"include_schemas": True, "version_table_schema": "o2o"}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


def test_interested_employees_are_registered_once_and_a_second_run_calls_nobody(pipeline: Pipeline) -> None:
    """Each gets one welcome; rows that are seen again are known."""
    pipeline.hire(*(person(n) for n in range(1, 31)), person(99, bike_interest=False))
    first = pipeline.run()
    second = pipeline.run()
    assert (first.extracted, first.registered, first.created) == (30, 30, 30)
    assert (second.extracted, second.known, second.calls) == (30, 30, 0)
    assert sorted(employee for employee, _ in pipeline.mails()) == sorted(f"E{n}" for n in range(1, 31))


def test_the_body_is_what_the_api_asks_for(pipeline: Pipeline) -> None:
    """Trimmed, NFC, mapped, the domain in lower case."""
    pipeline.hire(
        person(1, first_name=" Zoe\u0308 ", contract_type=None, language_code="FR ", work_email="Z.J@Example.COM")
    )
    pipeline.run()
    ((payload,),) = pipeline.query("select payload from o2o.registration")
    assert payload == {
        "user": {
            "BikePlanCode": "ACME-2026",
            "FirstName": "Zoë",
            "LastName": "Janssens",
            "Email": "Z.J@example.com",
            "Language": "FR",
            "ContractType": "",
            "partner_EmployeeID": "E1",
            "PersonnelNumber": "P1",
        }
    }


def test_a_bad_row_is_quarantined_with_every_reason_and_comes_back_when_hr_mends_it(pipeline: Pipeline) -> None:
    """Two defects, two reasons; unchanged it stays known; mended it is registered and leaves the quarantine."""
    pipeline.hire(person(1, work_email="nope", language_code="de"), person(2))
    first = pipeline.run()
    assert (first.quarantined, first.registered) == (1, 1)
    ((reasons,),) = pipeline.query("select reasons from o2o.quarantine")
    assert [reason["code"] for reason in reasons] == ["email_invalid", "language_unknown"]
    assert pipeline.run().known == 2
    pipeline.mend("E1", work_email="one@example.com", language_code="nl")
    assert pipeline.run().created == 1
    assert pipeline.query("select * from o2o.quarantine") == []


def test_two_people_with_one_address_wait_until_one_of_them_changes(pipeline: Pipeline) -> None:
    """HR mends one row only; the other, untouched, is registered by the run after."""
    pipeline.hire(person(1), person(2, work_email=" E1@example.com"))
    assert pipeline.run().quarantined == 2
    pipeline.mend("E2", work_email="two@example.com")
    assert pipeline.run().created == 1
    assert pipeline.run().created == 1
    assert pipeline.statuses() == {"E1": "created", "E2": "created"}


def test_an_address_that_somebody_registered_has_is_not_sent_for_another(pipeline: Pipeline) -> None:
    """The ledger knows the address, whatever its case."""
    pipeline.hire(person(1))
    pipeline.run()
    pipeline.hire(person(2, work_email="E1@EXAMPLE.com"))
    assert pipeline.run().quarantined == 1
    assert len(pipeline.mails()) == 1


def test_a_mended_mapping_brings_quarantined_people_back(pipeline: Pipeline) -> None:
    """HR need not touch the row when the mistake was ours."""
    pipeline.hire(person(1, company_code="HOOLI", changed_at=datetime.now(UTC) - timedelta(days=9)))
    assert pipeline.run().quarantined == 1
    pipeline.plans(hooli="ACME-2026")
    assert pipeline.run().created == 1


def test_too_many_bad_rows_stop_the_run_before_any_call(pipeline: Pipeline) -> None:
    """The good rows of a broken batch wait too, and all are read again once HR has mended it."""
    pipeline.hire(*(person(n, language_code="xx" if n % 2 else "nl") for n in range(20)))
    with pytest.raises(errors.TooManyBadRows, match="10 of 20 rows"):
        pipeline.run()
    assert pipeline.mails() == []
    with pytest.raises(errors.TooManyBadRows):
        pipeline.run()
    for n in range(1, 20, 2):
        pipeline.mend(f"E{n}", language_code="nl")
    assert pipeline.run().created == 20


def test_a_refused_employee_is_not_sent_again_until_the_hr_row_changes(pipeline: Pipeline) -> None:
    """Each refusal is an e-mail; only a change in HR is worth another."""
    pipeline.simulator.add_fault("status", status=422, next=1, body='{"message": "Zoë e1@example.com is unknown"}')
    pipeline.hire(person(1))
    assert pipeline.run().rejected == 1
    assert pipeline.run().calls == 0
    pipeline.mend("E1", last_name="Peeters")
    assert pipeline.run().created == 1
    details = json.dumps(pipeline.query("select detail from o2o.audit"))
    assert "Zo" not in details
    assert "e1@example" not in details


def test_an_engineer_can_send_a_refused_employee_again_by_name(pipeline: Pipeline) -> None:
    """Naming the employee in the trigger form counts as saying so; a registered one stays as he is."""
    pipeline.simulator.add_fault("status", status=422, next=1)
    pipeline.hire(person(1), person(2))
    pipeline.settings("delivery", concurrency=1)
    pipeline.run()
    pipeline.run(employee_ids=("E1", "E2"))
    assert pipeline.statuses() == {"E1": "created", "E2": "created"}
    assert len(pipeline.mails()) == 2


def test_an_interest_taken_back_before_the_call_is_withdrawn_and_may_return(pipeline: Pipeline) -> None:
    """The call waits for o2o; HR withdraws; nobody is called; later the interest returns."""
    pipeline.hire(person(1))
    pipeline.token = "wrong"
    with pytest.raises(errors.WrongToken):
        pipeline.run()
    pipeline.token = "a-token-that-must-not-leak"
    pipeline.mend("E1", bike_interest=False)
    assert pipeline.run().withdrawn == 1
    assert pipeline.mails() == []
    pipeline.mend("E1", bike_interest=True)
    assert pipeline.run().created == 1


def test_a_dry_run_registers_and_calls_nobody_and_moves_no_watermark(pipeline: Pipeline) -> None:
    """Its numbers are the real run's, its effect none."""
    pipeline.hire(person(1), person(2, work_email="x"))
    dry = pipeline.run(dry_run=True)
    assert (dry.extracted, dry.registered, dry.quarantined) == (2, 1, 1)
    assert (pipeline.statuses(), pipeline.mails()) == ({}, [])
    assert pipeline.query("select * from o2o.watermark") == []
    assert pipeline.run().created == 1


def test_a_large_batch_is_held_until_somebody_approves(pipeline: Pipeline) -> None:
    """Held before anybody is asked, released by name, each release audited."""
    pipeline.settings("fuse", max_people=5)
    pipeline.hire(*(person(n) for n in range(6)))
    assert pipeline.run().held == 6
    assert pipeline.run().calls == 0
    assert fuse.approve(pipeline.ledger, "run-1", "anna") == 6
    pipeline.settings("fuse", max_people=10)
    assert pipeline.run().created == 6
    assert pipeline.query("select distinct actor from o2o.audit where event = 'approved'") == [("anna",)]


def test_a_window_begins_where_the_last_success_ended_minus_the_lookback(pipeline: Pipeline) -> None:
    """A row that reaches the warehouse hours late is read; one older than the lookback needs a window by hand."""
    pipeline.run()
    late, too_late = datetime.now(UTC) - timedelta(hours=20), datetime.now(UTC) - timedelta(days=20)
    pipeline.hire(person(1, changed_at=late), person(2, changed_at=too_late))
    assert pipeline.run().created == 1
    assert pipeline.run(since=too_late - timedelta(days=1)).created == 1


def test_the_same_row_twice_is_one_person_and_two_versions_are_none(pipeline: Pipeline) -> None:
    """A repetition is known; a contradiction is for HR to settle."""
    then = datetime.now(UTC) - timedelta(minutes=1)
    pipeline.hire(person(1), person(1), person(2, changed_at=then), person(2, last_name="Anders", changed_at=then))
    summary = pipeline.run()
    assert (summary.extracted, summary.known, summary.quarantined, summary.created) == (4, 1, 2, 1)


def test_a_row_without_a_date_of_change_is_named_and_not_lost(pipeline: Pipeline) -> None:
    """It belongs to no window, so the extract returns it always and the checks say what is wrong."""
    pipeline.hire(person(1, changed_at=None))
    assert pipeline.run().quarantined == 1


def test_a_missing_column_is_named_with_its_remedy(pipeline: Pipeline) -> None:
    """No traceback for a mapping that names what the SQL does not return."""
    with pipeline.warehouse.begin() as connection:
        connection.execute(sa.text("alter table hr.employee rename column work_email to mail"))
    pipeline.config = type(pipeline.config)(
        pipeline.config.settings, pipeline.config.mapping, pipeline.config.extract_sql.replace("work_email", "mail")
    )
    with pytest.raises(errors.WarehouseError, match=r"columns\.email"):
        pipeline.run()


def test_conservation_fails_loudly_when_a_row_is_lost(pipeline: Pipeline) -> None:
    """A candidate that vanishes between extract and build is noticed."""
    pipeline.hire(person(1), person(2))
    run = pipeline.read()
    with pipeline.ledger.begin() as connection:
        connection.execute(sa.text("delete from o2o.candidate where employee_id = 'E1'"))
    with pytest.raises(errors.ConservationError, match="2 rows were extracted"):
        audit.settle(pipeline.ledger, run.run_id)


def test_the_audit_cannot_be_changed(pipeline: Pipeline) -> None:
    """Not even by the pipeline's own role."""
    pipeline.hire(person(1))
    pipeline.run()
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), pipeline.ledger.begin() as connection:
        connection.execute(sa.text("update o2o.audit set event = 'x'"))


def test_a_warehouse_error_quotes_no_value_of_a_row(pipeline: Pipeline) -> None:
    """A cast in the partner's SQL that fails names the kind of error, not the person's data."""
    pipeline.hire(person(1, personnel_number="geheim@example.com"))
    sql = pipeline.config.extract_sql.replace(
        "    personnel_number", "    cast(personnel_number as integer) as personnel_number"
    )
    pipeline.config = type(pipeline.config)(pipeline.config.settings, pipeline.config.mapping, sql)
    with pytest.raises(errors.WarehouseError, match="InvalidTextRepresentation") as caught:
        pipeline.run()
    assert "geheim" not in str(caught.value)


def test_of_a_yes_and_a_no_of_one_person_the_newer_counts(pipeline: Pipeline) -> None:
    """In a warehouse that keeps each change as a row of its own, in one window."""
    old, new = datetime.now(UTC) - timedelta(hours=2), datetime.now(UTC) - timedelta(hours=1)
    pipeline.hire(person(1, changed_at=old), person(1, changed_at=new, bike_interest=False))
    pipeline.hire(person(2, changed_at=new), person(2, changed_at=old, bike_interest=False))
    pipeline.run()
    assert pipeline.statuses() == {"E2": "created"}
    assert pipeline.run().calls == 0


def test_a_placeholder_for_a_date_of_change_loses_nobody(pipeline: Pipeline) -> None:
    """What spreadsheets and migrations write for no date."""
    pipeline.hire(person(1, changed_at=datetime(1899, 12, 30, tzinfo=UTC)))
    pipeline.run()
    ((known,),) = pipeline.query(
        "select (select count(*) from o2o.registration) + (select count(*) from o2o.quarantine)"
    )
    assert known == 1
    assert pipeline.run().known == 1


def test_two_bad_rows_of_one_person_that_come_one_after_the_other_stay_both(pipeline: Pipeline) -> None:
    """Neither pushes the other out of the quarantine, run after run."""
    pipeline.hire(person(1, work_email="nope"))
    pipeline.run()
    pipeline.hire(person(1, language_code="xx"))
    pipeline.run()
    before = pipeline.query("select fingerprint from o2o.quarantine order by 1")
    assert len(before) == 2
    pipeline.run()
    assert pipeline.query("select fingerprint from o2o.quarantine order by 1") == before
