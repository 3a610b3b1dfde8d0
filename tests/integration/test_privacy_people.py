"""Erase one person, lift that, export what is held: nothing is left, nobody is called again, the facts are counted."""

from __future__ import annotations

import io
import json
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from o2o_registration import actions, audit, building, checking, errors, fuse
from o2o_registration.__main__ import URL, main
from o2o_registration.actions import Action, Order
from o2o_registration.desk import people
from o2o_registration.privacy import pseudonyms
from o2o_registration.privacy.erasure import employees_of, erase, lift
from o2o_registration.privacy.export import collect
from o2o_registration.privacy.pseudonyms import Pseudonyms

from tests.integration.conftest import Pipeline, person
from tests.integration.test_privacy_retention import KEY, dump

PERSONAL = ("EMP-0815", "Quirine", "Vandersmissen", "quirine.v@example.com", "PN-990017")
KEYS = Pseudonyms(KEY.encode())
WHO = KEYS.person("EMP-0815")


def quirine(**columns: Any) -> dict[str, Any]:
    """Somebody whose values nobody else has."""
    names = ("employee_id", "first_name", "last_name", "work_email", "personnel_number")
    return person("X", **{**dict(zip(names, PERSONAL, strict=True)), **columns})


def rows_about(pipeline: Pipeline) -> list[str]:
    """Every row of the ledger that a full-text scan finds for her."""
    return [row for row in dump(pipeline.ledger) if any(value.lower() in row.lower() for value in PERSONAL)]


def erase_her(pipeline: Pipeline, why: str = "asked by letter of 3 May") -> str:
    pipeline.key = KEY
    return str(erase(pipeline.ledger, KEY, ["EMP-0815"], "anna", why))


def pending(pipeline: Pipeline) -> Pipeline:
    pipeline.token, token = "wrong", pipeline.token
    with pytest.raises(errors.WrongToken):
        pipeline.run()
    pipeline.token = token
    return pipeline


def registered(pipeline: Pipeline) -> None:
    pipeline.run()


def refused(pipeline: Pipeline) -> None:
    words = '{"message": "EMP-0815 PN-990017 Quirine has no plan"}'
    pipeline.simulator.add_fault("status", status=422, next=1, body=words)
    pipeline.run()


def held(pipeline: Pipeline) -> None:
    pipeline.settings("fuse", max_people=0)
    pipeline.run()
    pipeline.settings("fuse", max_people=500)


def set_aside(pipeline: Pipeline) -> None:
    pipeline.mend("EMP-0815", language_code="xx")
    pipeline.run()


def read(pipeline: Pipeline) -> None:
    pipeline.read()


STATES = [registered, refused, pending, held, set_aside, read]


@pytest.mark.parametrize("state", STATES)
def test_of_an_erased_person_nothing_is_found_and_no_call_is_made(pipeline: Pipeline, state: Any) -> None:
    """Wherever she stood, unchanged or changed in HR: a scan of every table finds nothing then and later."""
    pipeline.hire(quirine())
    state(pipeline)
    audit.load(pipeline.ledger)
    assert rows_about(pipeline)
    mails = len(pipeline.mails())
    assert erase_her(pipeline) == "erased 1 people"
    assert rows_about(pipeline) == []
    assert pipeline.run().calls == 0
    pipeline.mend("EMP-0815", first_name="Quirine-Anna", language_code="fr")
    assert pipeline.run().calls == 0
    assert pipeline.run(employee_ids=("EMP-0815",)).calls == 0
    pipeline.mend("EMP-0815", language_code="zz")
    summary = pipeline.run()
    assert (summary.extracted, summary.known, summary.quarantined) == (1, 1, 0)
    assert rows_about(pipeline) == []
    assert len(pipeline.mails()) == mails


def test_her_facts_are_countable_under_the_pseudonym_and_everything_adds_up(pipeline: Pipeline) -> None:
    """One audit row per closed attempt; the person is still one of the registered."""
    pipeline.hire(quirine(), person(1))
    pipeline.run()
    before = pipeline.query("select attempt_id, event, http_status, at from o2o.audit order by 1")
    erase_her(pipeline, "Quirine of quirine.v@example.com (EMP-0815) asked")
    after = "select attempt_id, event, http_status, at from o2o.audit where attempt_id is not null order by 1"
    assert pipeline.query(after) == before
    hers = f"select event, actor, detail from o2o.audit where employee_id = '{WHO}' order by id"
    assert pipeline.query(hers) == [
        ("created", "pipeline", None),
        ("erased", "anna", "[personal] of [e-mail] ([personal]) asked"),
    ]
    assert pipeline.query("""
        select count(*) from o2o.attempt t where not exists (
            select from o2o.audit a where a.attempt_id = t.id and a.event = t.outcome
              and a.employee_id = t.employee_id)
    """) == [(0,)]
    assert pipeline.statuses() == {WHO: "created", "E1": "created"}
    assert pipeline.run().known == 2


def test_a_run_in_the_middle_goes_on_without_an_erased_person(pipeline: Pipeline) -> None:
    """Erased after the extract, or after the check, good or bad row: the run adds up and calls the others alone."""
    pipeline.key = KEY
    pseudonyms.adopt(pipeline.ledger, KEY)
    for number, (language, checked_first) in enumerate([("nl", False), ("nl", True), ("xx", False), ("xx", True)]):
        name = f"EMP-{number}"
        pipeline.hire(quirine(employee_id=name, work_email=f"q{number}@example.com", language_code=language))
        pipeline.hire(person(number))
        run = pipeline.read()
        if checked_first:
            checking.check(pipeline.ledger, pipeline.config, run.run_id)
        erase(pipeline.ledger, KEY, [name], "anna", "asked")
        checking.check(pipeline.ledger, pipeline.config, run.run_id)
        building.build(pipeline.ledger, pipeline.config, run.run_id, key=KEY)
        fuse.weigh(pipeline.ledger, pipeline.config.settings.fuse, run.run_id)
        pipeline.post(run)
        audit.load(pipeline.ledger)
        assert audit.settle(pipeline.ledger, run.run_id).created == 1
        assert not [row for row in dump(pipeline.ledger) if name in row or f"q{number}@" in row]
    assert sorted(who for who, _ in pipeline.mails()) == ["E0", "E1", "E2", "E3"]


def test_an_erasure_that_comes_between_read_and_build_is_heeded_by_the_build(pipeline: Pipeline) -> None:
    """Even a candidate that the erasure did not see (of a backup, say) makes nobody be called."""
    pipeline.hire(quirine())
    refused(pipeline)
    pipeline.mend("EMP-0815", language_code="fr")
    run = pipeline.read()
    with pipeline.ledger.begin() as connection:
        connection.execute(sa.text("create table public.kept as select * from o2o.candidate"))
    erase_her(pipeline)
    with pipeline.ledger.begin() as connection:
        connection.execute(sa.text("insert into o2o.candidate select * from public.kept"))
        connection.execute(sa.text("update o2o.run_summary set known = 0 where settled_at is null"))
    built = building.build(pipeline.ledger, pipeline.config, run.run_id, key=KEY)
    assert (built.registered, built.known) == (0, 1)
    audit.settle(pipeline.ledger, run.run_id)
    assert rows_about(pipeline) == []


def jonas(**columns: Any) -> dict[str, Any]:
    """Somebody else, whose values nobody else has either."""
    return quirine(
        **{
            "employee_id": "EMP-0999",
            "first_name": "Jonas",
            "last_name": "Uytterhoeven",
            "work_email": "jonas.u@example.com",
            "personnel_number": "PN-990055",
            **columns,
        }
    )


EVERYBODY = (
    "Quirine Vandersmissen (EMP-0815, PN-990017, quirine.v@example.com) and JONAS Uytterhoeven (EMP-0999, PN-990055,"
    " jonas.u@example.com) phoned about Jonassen"
)
NOBODY = (
    "[personal] [personal] ([personal], [personal], [e-mail]) and [personal] [personal] ([personal], [personal],"
    " [e-mail]) phoned about Jonassen"
)


def test_of_people_who_are_erased_together_none_is_left_in_the_others_reason(pipeline: Pipeline) -> None:
    """Whether they were registered, set aside or only read; nor who is mentioned along with them."""
    pipeline.hire(quirine())
    pipeline.run()
    pipeline.hire(jonas(), person(7, first_name="Wilhelmina", language_code="xx"))
    pipeline.key = KEY
    pipeline.read()
    erase(pipeline.ledger, KEY, ["EMP-0815", "EMP-0999"], "anna", EVERYBODY)
    assert set(pipeline.query("select detail from o2o.audit where event = 'erased'")) == {(NOBODY,)}
    assert not [row for row in dump(pipeline.ledger) if "EMP-0" in row or "Jonas " in row or "Uytter" in row]
    pipeline.run()
    erase(pipeline.ledger, KEY, ["E404", "EMP-0815"], "anna", "as E404, and as Wilhelmina (E7) in May")
    ((words,),) = pipeline.query("select detail from o2o.audit where event = 'erased' order by id desc limit 1")
    assert words == "as [personal], and as [personal] ([personal]) in May"


def test_what_is_lifted_or_exported_leaves_no_name_in_the_reason(pipeline: Pipeline) -> None:
    """Those rows are under the pseudonym, and can never be mended."""
    pipeline.hire(quirine(), jonas())
    pipeline.run()
    pipeline.key = KEY
    collect(pipeline.ledger, KEY, ["EMP-0815", "EMP-0999"], "anna", EVERYBODY)
    assert set(pipeline.query("select detail from o2o.audit where event = 'exported'")) == {(NOBODY,)}
    erase(pipeline.ledger, KEY, ["EMP-0815"], "anna", "asked")
    lift(pipeline.ledger, KEY, ["EMP-0815", "EMP-0999"], "anna", "EMP-0815 and Jonas (EMP-0999) want a bike")
    lifted = "select detail from o2o.audit where event = 'erasure lifted'"
    assert pipeline.query(lifted) == [("[personal] and [personal] ([personal]) want a bike",)]


def test_an_erased_person_is_in_nobodys_decision_either(pipeline: Pipeline) -> None:
    """Decided about by name or among all; the others' rows keep the reason without her."""
    pipeline.hire(quirine(), jonas())
    held(pipeline)
    for ids in (("EMP-0815", "EMP-0999"), ()):
        for action in (Action.APPROVE, Action.HOLD):
            assert len(actions.carry_out(pipeline.ledger, Order(action, ids, "anna", EVERYBODY))) == 2
    assert set(pipeline.query("select event, detail from o2o.audit")) == {
        ("approved", f"to be sent although held: {NOBODY}"),
        ("held", f"held by hand: {NOBODY}"),
    }
    assert set(pipeline.query("select detail from o2o.registration")) == {("held by hand",)}
    erase_her(pipeline)
    assert rows_about(pipeline) == []


def test_an_erasure_waits_for_a_run_that_reads(pipeline: Pipeline) -> None:
    """So that no row of hers is kept that it did not see."""
    pipeline.hire(quirine())
    pipeline.run()
    pseudonyms.adopt(pipeline.ledger, KEY)
    with pipeline.ledger.connect() as reading, reading.begin():
        pseudonyms.enter(reading, KEY)
        thread = threading.Thread(target=erase_her, args=(pipeline,))
        thread.start()
        time.sleep(0.5)
        assert thread.is_alive()
        assert rows_about(pipeline)
    thread.join(20)
    assert rows_about(pipeline) == []


def test_somebody_in_doubt_or_being_called_is_not_erased_and_the_message_says_what_to_do(pipeline: Pipeline) -> None:
    """Nor is anybody named along: all or nobody."""
    pipeline.settings("in_doubt", policy="hold")
    pipeline.hire(quirine())
    pipeline.simulator.add_fault("reset_after_read", next=1)
    pipeline.run()
    pipeline.hire(person(1))
    pipeline.run()
    pseudonyms.adopt(pipeline.ledger, KEY)
    before = dump(pipeline.ledger)
    with pytest.raises(errors.CannotErase, match="EMP-0815 is in doubt: ask o2o, confirm or release"):
        erase(pipeline.ledger, KEY, ["E1", "EMP-0815"], "anna", "asked")
    assert dump(pipeline.ledger) == before
    with pipeline.ledger.begin() as connection:
        connection.execute(sa.text("update o2o.attempt set closed_at = null where employee_id = 'E1'"))
        connection.execute(sa.text("update o2o.registration set status = 'claimed' where employee_id = 'E1'"))
    with pytest.raises(errors.CannotErase, match="E1 is being called right now"):
        erase(pipeline.ledger, KEY, ["E1"], "anna", "asked")


def test_another_employee_with_her_address_is_named_and_rows_without_an_id_go_along(
    pipeline: Pipeline, ledger_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether it is the same human being is for a person to say; a row without an id is nobody else's.

    Logs, which many read, have the number alone: nobody named the other one.
    """
    pipeline.hire(quirine())
    pipeline.run()
    pipeline.hire(person(5, work_email="Quirine.V@example.com"))
    pipeline.hire(person(6, employee_id=None, work_email="quirine.v@example.com"))
    pipeline.run()
    pipeline.key = KEY
    assert employees_of(pipeline.ledger, KEY, "QUIRINE.V@example.com ")[:2] == ("E5", "EMP-0815")
    said = erase_her(pipeline)
    assert "also held for others (1): 'python -m o2o_registration erase' with the same ids names them" in said
    assert "E5" not in said
    monkeypatch.setenv(URL, ledger_url)
    monkeypatch.setenv(pseudonyms.KEY, KEY)
    assert main(["erase", "EMP-0815", "--why", "who else?"]) == 0
    assert "also held for E5: erase these, too, if that is the same person" in capsys.readouterr().out
    assert pipeline.query("select source_key from o2o.quarantine") == [("E5",)]
    assert pipeline.run().calls == 0
    assert pipeline.query("select source_key from o2o.quarantine") == [("E5",)]
    erase(pipeline.ledger, KEY, ["E5"], "anna", "the same person")
    assert rows_about(pipeline) == []
    assert pipeline.run().calls == 0
    assert rows_about(pipeline) == []


def test_an_erased_address_is_not_sent_for_another_employee(pipeline: Pipeline) -> None:
    """o2o knows people by their address, and this one was mailed."""
    pipeline.hire(quirine())
    pipeline.run()
    erase_her(pipeline)
    pipeline.hire(person(2, work_email="quirine.v@example.com"))
    assert pipeline.run().calls == 0
    assert len(pipeline.mails()) == 1


def test_an_erasure_can_be_lifted_when_the_person_asks_for_it(pipeline: Pipeline) -> None:
    """A run that names her sends her once more, under her own id; before, nobody is sent."""
    pipeline.hire(quirine())
    held(pipeline)
    erase_her(pipeline)
    assert pipeline.run().calls == 0
    assert lift(pipeline.ledger, KEY, ["EMP-0815", "E9"], "bob", "wants a bike after all") == ("EMP-0815",)
    assert pipeline.run(employee_ids=("EMP-0815",)).created == 1
    assert pipeline.statuses() == {"EMP-0815": "created"}
    assert pipeline.run().calls == 0
    events = f"select event, actor from o2o.audit where employee_id = '{WHO}' order by id"
    assert pipeline.query(events) == [("erased", "anna"), ("erasure lifted", "bob")]
    assert lift(pipeline.ledger, KEY, ["EMP-0815"], "bob", "again") == ()


def test_an_erasure_needs_a_reason_a_person_and_the_right_key(pipeline: Pipeline) -> None:
    pipeline.hire(quirine())
    pipeline.run()
    pseudonyms.adopt(pipeline.ledger, KEY)
    before = dump(pipeline.ledger)
    for arguments in (
        (KEY, ["EMP-0815"], "anna", " "),
        (KEY, [" "], "anna", "why"),
        (None, ["EMP-0815"], "anna", "why"),
        (KEY + "x", ["EMP-0815"], "anna", "why"),
    ):
        with pytest.raises(errors.ConfigurationError):
            erase(pipeline.ledger, *arguments)
    assert str(erase(pipeline.ledger, KEY, ["E404"], "anna", "why")).endswith("nothing is held on E404")
    assert dump(pipeline.ledger) == before


@pytest.mark.parametrize("state", STATES)
def test_an_export_holds_every_row_that_a_scan_finds(pipeline: Pipeline, state: Any) -> None:
    """Value by value, whatever table it is in; and the export itself is audited under the pseudonym."""
    pipeline.settings("delivery", concurrency=1)
    pipeline.hire(quirine(), person("Z", employee_id="Z1"))
    state(pipeline)
    audit.load(pipeline.ledger)
    pseudonyms.adopt(pipeline.ledger, KEY)
    found = rows_about(pipeline)
    document = collect(pipeline.ledger, KEY, ["EMP-0815"], "anna", "asked")
    (her,) = document["people"]
    counts = {table: len(rows) for table, rows in her["rows"].items() if rows}
    scanned = [row.split(" ", 1)[0] for row in found]
    assert counts == {table: scanned.count(table) for table in set(scanned)}
    assert "Janssens" not in json.dumps(document, default=str)
    exported = pipeline.query("select employee_id, actor from o2o.audit where event = 'exported'")
    assert exported == [(WHO, "anna")]


def test_the_page_finds_an_erased_person_by_id_alone(pipeline: Pipeline) -> None:
    """What was done, when, by whom; no details."""
    pipeline.hire(quirine())
    pipeline.run()
    erase_her(pipeline)
    assert people.find(pipeline.ledger, "EMP-0815", KEY) == [WHO]
    found = people.person(pipeline.ledger, WHO)
    assert found is not None
    assert "Erased on request on" in found.sentence
    assert found.details == {}
    assert [event.what for event in found.events][-2:] == ["created", "erased"]


def test_the_command_line_exports_erases_and_lifts(
    pipeline: Pipeline,
    ledger_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The address is read from standard input, the file is the user's alone, mistakes have no traceback."""
    pipeline.hire(quirine())
    pipeline.run()
    monkeypatch.setenv(URL, ledger_url)
    out = tmp_path / "her.json"
    assert main(["export", "EMP-0815", "--out", str(out)]) == 2
    assert "O2O_PSEUDONYM_KEY" in capsys.readouterr().err
    monkeypatch.setenv(pseudonyms.KEY, KEY)
    monkeypatch.setattr("sys.stdin", io.StringIO("Quirine.V@example.com\n"))
    assert main(["export", "--email", "-", "--out", str(out)]) == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    (her,) = json.loads(out.read_text())["people"]
    assert her["rows"]["registration"][0]["payload"]["user"]["FirstName"] == "Quirine"
    assert her["in_a_sentence"].startswith("Registered with o2o")
    assert main(["export", "EMP-0815", "--out", str(out)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["erase", "EMP-0815", "--why", "asked", "--who", "anna"]) == 0
    assert "erased 1 people" in capsys.readouterr().out
    assert main(["erase", "E404", "--why", "asked"]) == 1
    monkeypatch.setattr("sys.stdin", io.StringIO("nobody@example.com\n"))
    assert main(["erase", "--email", "-", "--why", "asked"]) == 2
    assert main(["lift", "EMP-0815", "--why", "asked"]) == 0
    output = capsys.readouterr()
    assert not [value for value in PERSONAL[1:] if value in output.out + output.err]
