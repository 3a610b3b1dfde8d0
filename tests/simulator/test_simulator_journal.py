"""The journal: a restart forgets nothing, and a kill costs at most the line that was being written."""

# ruff: noqa: ASYNC240 -- a few bytes on a local disk block nobody

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from o2o_simulator import REDIRECT_TARGET, JournalError, ListenError, Simulator
from simulator_caller import TOKEN, Caller


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


async def play(journal: Path, *people: dict[str, Any]) -> Simulator:
    """Run a simulator on the journal, post the people, stop it; what it recorded stays readable."""
    async with (
        Simulator(TOKEN, journal=journal) as simulator,
        aiohttp.ClientSession(simulator.url) as session,
    ):
        for person in people:
            await Caller(session).post(person)
    return simulator


async def test_a_restart_forgets_nothing(journal: Path, jane: dict[str, Any]) -> None:
    """Mails, calls, people and numbers are the same after it."""
    async with Simulator(TOKEN, journal=journal) as before, aiohttp.ClientSession(before.url) as session:
        caller = Caller(session)
        before.add_fault("status", status=500, processed=True, next=1)
        for person in (jane, jane, jane | {"Language": "DE"}):
            await caller.post(person)
        await caller.request("GET", REDIRECT_TARGET, headers={"Authorization": "Bearer x"})

    after = await play(journal)

    assert after.mailbox == before.mailbox
    assert after.calls == before.calls
    assert after.summary() == before.summary()
    assert (after.summary().mails, after.summary().tokens_leaked) == (3, 1)


async def test_a_person_known_before_the_restart_is_known_after(journal: Path, jane: dict[str, Any]) -> None:
    """Nobody is welcomed a second time, and call numbers go on."""
    await play(journal, jane)
    after = await play(journal, jane | {"Email": "JANE@acme.example"})

    assert [(mail.call, mail.subject) for mail in after.mailbox] == [
        (1, "Welcome and set password"),
        (2, "You already have account"),
    ]


async def test_a_reset_survives_a_restart(journal: Path, jane: dict[str, Any]) -> None:
    """What was forgotten stays so."""
    async with (
        Simulator(TOKEN, journal=journal) as simulator,
        aiohttp.ClientSession(simulator.url) as session,
    ):
        await Caller(session).post(jane)
        simulator.reset()

    after = await play(journal, jane)
    assert [(mail.call, mail.subject) for mail in after.mailbox] == [(2, "Welcome and set password")]


async def test_every_line_is_written_before_the_answer(journal: Path, jane: dict[str, Any]) -> None:
    """A client that has its answer can be sure that a kill does not undo it."""
    async with (
        Simulator(TOKEN, journal=journal) as simulator,
        aiohttp.ClientSession(simulator.url) as session,
    ):
        await Caller(session).post(jane)
        assert [line.split('"')[3] for line in journal.read_text().splitlines()] == ["call", "mail", "answer"]


@pytest.mark.parametrize("torn", ['{"event":"mail","ca', "{", '{"event":"call","call":9,"at":"2026', "\x00\xff"])
async def test_a_torn_last_line_is_dropped(journal: Path, jane: dict[str, Any], torn: str) -> None:
    """The rest is kept, and the next event starts on a line of its own."""
    await play(journal, jane)
    with journal.open("ab") as file:
        file.write(torn.encode("latin-1"))

    again = await play(journal, jane)
    assert len(again.mailbox) == 2
    assert (await play(journal)).mailbox == again.mailbox


async def test_a_call_that_a_kill_cut_off_is_remembered_without_an_answer(journal: Path, jane: dict[str, Any]) -> None:
    """Its mail went out; it is in flight no more."""
    await play(journal, jane)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]))

    after = await play(journal)

    assert (after.summary().in_flight, after.summary().requests_by_status) == (0, {"none": 1})
    assert len(after.mailbox) == 1


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        "{}",
        '{"event":"call"}',
        '{"event":"party","call":1}',
        '{"event":"call","call":1,"at":"yesterday","fault":null}',
        '{"event":"mail","call":1,"at":"2026-01-01T00:00:00+00:00","to":"a@b.be","subject":"Hi","partner_EmployeeID":null}',
    ],
)
async def test_a_damaged_line_inside_is_an_error_that_names_it(journal: Path, jane: dict[str, Any], line: str) -> None:
    """Guessing would lie about who was mailed, so the simulator does not start, and releases the file."""
    await play(journal, jane)
    good = journal.read_text()
    journal.write_text(line + "\n" + good)

    with pytest.raises(JournalError, match=r"journal\.jsonl, line 1: .*mend or remove"):
        await Simulator(TOKEN, journal=journal).start()

    journal.write_text(good)
    assert len((await play(journal)).mailbox) == 1


async def test_two_simulators_cannot_share_a_journal(journal: Path) -> None:
    """The second says so instead of mixing its lines in."""
    async with Simulator(TOKEN, journal=journal):
        with pytest.raises(JournalError, match="another simulator"):
            await Simulator(TOKEN, journal=journal).start()


async def test_a_journal_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    """The message names the file and the reason."""
    with pytest.raises(JournalError, match="missing/journal: No such file"):
        await Simulator(TOKEN, journal=tmp_path / "missing" / "journal").start()


async def test_a_taken_port_leaves_the_journal_alone(journal: Path, tmp_path: Path) -> None:
    """Of two simulators started by mistake, the second touches nothing."""
    async with Simulator(TOKEN) as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(ListenError, match=f"port {port} on 127.0.0.1 is taken"):
            await Simulator(TOKEN, port=port, journal=journal).start()
    assert not journal.exists()
