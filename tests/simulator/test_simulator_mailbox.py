"""The mailbox and the numbers, for programs and for people."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from o2o_simulator import Simulator, Subject
from o2o_simulator.mailbox import Mailbox
from simulator_caller import Caller


class Text(HTMLParser):
    """The visible text and the tags of a page."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.attributes: list[str] = []
        self.feed(html.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [f"{name}={value}" for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


async def show(caller: Caller, query: str = "") -> Text:
    reply = await caller.request("GET", "/" + query)
    assert reply.status == 200
    return Text(reply.body)


async def post_people(caller: Caller, jane: dict[str, Any], count: int) -> None:
    for number in range(count):
        employee = {"Email": f"p{number}@acme.example", "partner_EmployeeID": f"E{number:04}"}
        await caller.post(jane | employee)


async def test_the_mailbox_lists_mails_oldest_first(caller: Caller, jane: dict[str, Any]) -> None:
    """Each mail says whom, what, when, for which employee and by which call."""
    await post_people(caller, jane, 2)

    mails = (await caller.request("GET", "/simulator/mailbox")).json

    assert [mail["to"] for mail in mails] == ["p0@acme.example", "p1@acme.example"]
    assert set(mails[0]) == {"call", "at", "to", "subject", "partner_EmployeeID"}
    assert datetime.now(UTC) - datetime.fromisoformat(mails[0]["at"]) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [0, 1, 2, 3, 4]),
        ("?limit=2", [0, 1]),
        ("?offset=3", [3, 4]),
        ("?offset=1&limit=2", [1, 2]),
        ("?offset=9", []),
        ("?limit=0", []),
    ],
)
async def test_a_piece_of_the_mailbox_can_be_had(
    caller: Caller, jane: dict[str, Any], query: str, numbers: list[int]
) -> None:
    """Offset and limit cut; the whole number is in a header."""
    await post_people(caller, jane, 5)

    reply = await caller.request("GET", "/simulator/mailbox" + query)

    assert [mail["partner_EmployeeID"] for mail in reply.json] == [f"E{number:04}" for number in numbers]
    assert reply.headers["X-Total-Count"] == "5"


@pytest.mark.parametrize("query", ["offset=-1", "limit=x", "limit=1.5", "offset=", "limit=٣"])
async def test_a_wrong_piece_is_a_400_that_names_it(caller: Caller, query: str) -> None:
    """Nonsense in the query is refused by name."""
    reply = await caller.request("GET", "/simulator/mailbox?" + query)
    assert reply.status == 400
    assert query.partition("=")[0] in reply.json["error"]


async def test_the_summary_has_every_number(simulator: Simulator, caller: Caller, jane: dict[str, Any]) -> None:
    """Calls, answers, mails and people add up."""
    await caller.post(jane)
    await caller.post(jane)
    await caller.post(jane | {"Email": "joe@acme.example", "Language": "DE"})
    simulator.add_fault("status", status=503, next=1)
    await caller.post(jane)
    await caller.request("GET", "/nowhere")

    assert (await caller.request("GET", "/simulator/summary")).json == {
        "calls": 4,
        "in_flight": 0,
        "max_in_flight": 1,
        "requests_by_status": {"200": 1, "201": 1, "404": 1, "422": 1, "503": 1},
        "mails": 3,
        "mails_by_subject": {
            "Welcome and set password": 1,
            "You already have account": 1,
            "Registration failed": 1,
        },
        "people": 1,
        "people_mailed": 2,
        "people_mailed_more_than_once": 1,
        "faults_by_kind": {"status": 1},
        "tokens_leaked": 0,
    }


async def test_reset_forgets_people_too(simulator: Simulator, caller: Caller, jane: dict[str, Any]) -> None:
    """After a reset everyone is new, and call numbers go on, so that none is used twice."""
    await caller.post(jane)
    assert (await caller.request("DELETE", "/simulator/mailbox")).json == {"mails": 1, "calls": 1}
    assert (simulator.mailbox, simulator.calls, simulator.summary().calls) == ([], [], 0)

    assert (await caller.post(jane)).status == 201
    assert simulator.mailbox[0].call == 2


@pytest.mark.parametrize("path", ["/", "/simulator/mailbox", "/simulator/summary", "/simulator/faults"])
async def test_looking_is_free_and_counts_as_nothing(simulator: Simulator, caller: Caller, path: str) -> None:
    """The simulator's own side needs no token, does not show in the numbers, and is not cached."""
    reply = await caller.request("GET", path)
    assert (reply.status, reply.headers["Cache-Control"]) == (200, "no-store")
    assert simulator.summary().requests_by_status == {}


async def test_the_page_shows_counts_and_the_latest_mail_first(caller: Caller, jane: dict[str, Any]) -> None:
    """A person sees at a glance what o2o would have sent."""
    await post_people(caller, jane, 2)

    page = await show(caller)

    assert "2 calls" in page.text
    assert "2 “Welcome and set password”" in page.text
    assert "0 people mailed more than once" in page.text
    assert page.text.index("p1@acme.example") < page.text.index("p0@acme.example")
    assert "class=good" in page.attributes


async def test_the_page_shows_people_mailed_twice_in_red_and_lists_their_later_mails(
    caller: Caller, jane: dict[str, Any]
) -> None:
    """What must never happen is a red number that leads to the mails."""
    await caller.post(jane)
    await post_people(caller, jane, 1)
    await caller.post(jane)

    page = await show(caller)
    assert "1 person mailed more than once" in page.text
    assert "class=bad" in page.attributes

    repeats = await show(caller, "?only=repeats")
    assert repeats.text.count("jane@acme.example") == 1
    assert "p0@acme.example" not in repeats.text


@pytest.mark.parametrize(
    ("query", "found"),
    [("p1@acme.example", 1), ("P1@ACME", 1), ("e0002", 1), ("acme", 3), ("%20e0002%20", 1), ("nobody", 0)],
)
async def test_the_page_can_be_searched_by_address_or_employee(
    caller: Caller, jane: dict[str, Any], query: str, found: int
) -> None:
    """A part is enough, in any case."""
    await post_people(caller, jane, 3)
    page = await show(caller, "?q=" + query)
    assert page.tags.count("tr") - page.tags.count("thead") == found


async def test_the_page_is_paged_and_keeps_the_search(caller: Caller, jane: dict[str, Any]) -> None:
    """Fifty mails a page; a page that does not exist is the nearest one."""
    await post_people(caller, jane, 120)

    first, last = await show(caller, "?q=acme"), await show(caller, "?q=acme&page=99")

    assert (first.tags.count("tr"), last.tags.count("tr")) == (51, 21)
    assert "href=/?page=2&q=acme" in first.attributes
    assert "page 3 of 3" in last.text
    for nonsense in ("0", "-1", "x", "٣", "9" * 30):
        assert (await show(caller, "?page=" + nonsense)).tags.count("tr") >= 21


async def test_the_page_escapes_what_people_are_called(
    simulator: Simulator, caller: Caller, jane: dict[str, Any]
) -> None:
    """Markup in an id, an address, a search or a fault is text."""
    evil = "<script>alert(1)</script>"
    await caller.post(jane | {"FirstName": evil, "partner_EmployeeID": evil, "Email": "o'b&amp{x}@acme.example"})
    simulator.add_fault("status", status=500, body=evil, next=1)

    for query in ("", '?q="><script>alert(1)</script>', "?q=<script>alert(1)</script>"):
        page = await show(caller, query)
        assert "script" not in page.tags
        assert "alert(1)" in page.text
    assert "o'b&amp{x}@acme.example" in (await show(caller)).text


async def test_the_page_loads_nothing_and_runs_no_script(caller: Caller) -> None:
    """It works offline, and its policy forbids anything else."""
    reply = await caller.request("GET", "/")
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert b"http://" not in reply.body
    assert b"https://" not in reply.body
    assert "No e-mail yet." in Text(reply.body).text


def test_a_large_mailbox_does_not_slow_a_call() -> None:
    """What a call costs does not depend on how much was sent before."""

    def cost(mailbox: Mailbox, start: int) -> float:
        began = time.thread_time()
        for number in range(start, start + 20_000):
            call = mailbox.open_call()
            address = f"p{number}@acme.example"
            assert not mailbox.has_account(address)
            mailbox.send(call, address, Subject.WELCOME, str(number))
            mailbox.close_call(call, 201, str(number))
        return time.thread_time() - began

    mailbox = Mailbox()
    first = cost(mailbox, 0)
    for number in range(1_000_000, 1_200_000):
        mailbox.send(1, f"p{number}@acme.example", Subject.WELCOME, None)

    # Generous, since caches are small; a scan would be thousands of times slower.
    assert cost(mailbox, 20_000) < 10 * first
