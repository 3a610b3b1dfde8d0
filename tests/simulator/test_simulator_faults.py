"""Each fault as a client sees it, whom it mails, and when it strikes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import aiohttp
import pytest
from o2o_simulator import REDIRECT_TARGET, FaultError, Simulator
from simulator_caller import TOKEN, Caller, until

PROCESSED_BY_DEFAULT = {
    "reset_after_read": True,
    "hang": True,
    "half_body": True,
    "slow_body": True,
    "huge_body": True,
    "html": False,
    "contradiction": False,
    "not_json": False,
}


async def post_whatever_comes(caller: Caller, person: dict[str, Any]) -> None:
    """Post, and do not mind how it ends."""
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        await caller.post(person, patience=0.3)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 502, 503, 504, 202, 599])
async def test_status_answers_with_any_status_and_mails_nobody(
    simulator: Simulator, caller: Caller, jane: dict[str, Any], status: int
) -> None:
    """By default an error status has no effect behind it."""
    simulator.add_fault("status", status=status, next=1)

    reply = await caller.post(jane)

    assert (reply.status, reply.json["success"]) == (status, False)
    assert simulator.mailbox == []
    assert (await caller.post(jane)).status == 201


async def test_status_can_come_after_the_effect(simulator: Simulator, caller: Caller, jane: dict[str, Any]) -> None:
    """A processed 502 has registered and mailed the person, so that a repetition mails twice."""
    simulator.add_fault("status", status=502, processed=True, next=1)

    assert (await caller.post(jane)).status == 502
    assert (await caller.post(jane)).status == 200
    assert simulator.summary().people_mailed_more_than_once == 1


async def test_status_carries_headers_and_a_text_or_json_body(
    simulator: Simulator, caller: Caller, jane: dict[str, Any]
) -> None:
    """Retry-After and whatever else a gateway sends."""
    simulator.add_fault("status", status=503, headers={"Retry-After": "7"}, body="<b>busy</b>", next=1)
    simulator.add_fault("status", status=422, body={"error": "no"}, next=1)

    busy, refused = await caller.post(jane), await caller.post(jane)

    assert (busy.headers["Retry-After"], busy.body) == ("7", b"<b>busy</b>")
    assert busy.headers["Content-Type"].startswith("text/plain")
    assert refused.json == {"error": "no"}


async def test_latency_delays_the_true_answer(simulator: Simulator, caller: Caller, jane: dict[str, Any]) -> None:
    """A slow call is a normal call otherwise."""
    simulator.add_fault("latency", seconds=0.2, next=1)
    start = time.monotonic()

    assert (await caller.post(jane)).status == 201
    assert time.monotonic() - start >= 0.2


async def test_latency_has_its_effect_even_when_the_client_has_left(
    simulator: Simulator, caller: Caller, jane: dict[str, Any]
) -> None:
    """A read timeout proves nothing: the mail goes out after it."""
    simulator.add_fault("latency", seconds=0.4, next=1)

    with pytest.raises(TimeoutError):
        await caller.post(jane, patience=0.1)
    assert simulator.mailbox == []
    await until(lambda: simulator.mailbox)
    assert [mail.to for mail in simulator.mailbox] == ["jane@acme.example"]


async def test_reset_before_read_resets_and_mails_nobody(
    simulator: Simulator, caller: Caller, jane: dict[str, Any]
) -> None:
    """The connection breaks and nothing was processed."""
    simulator.add_fault("reset_before_read", next=1)

    with pytest.raises(aiohttp.ClientOSError, match="reset"):
        await caller.post(jane)
    assert simulator.mailbox == []
    assert simulator.calls[0].employee_id is None


async def test_reset_after_read_resets_and_has_mailed(
    simulator: Simulator, caller: Caller, jane: dict[str, Any]
) -> None:
    """The connection breaks after the person was registered."""
    simulator.add_fault("reset_after_read", next=1)

    with pytest.raises(aiohttp.ClientOSError, match="reset"):
        await caller.post(jane)
    assert len(simulator.mailbox) == 1
    assert simulator.summary().requests_by_status == {"none": 1}


async def test_hang_never_answers_and_ends_when_the_client_leaves(
    simulator: Simulator, caller: Caller, jane: dict[str, Any]
) -> None:
    """The server holds the call for as long as the client does."""
    simulator.add_fault("hang", next=1)

    with pytest.raises(TimeoutError):
        await caller.post(jane, patience=0.2)
    await until(lambda: simulator.summary().in_flight == 0)
    assert (simulator.calls[0].done, simulator.calls[0].status) == (True, None)
    assert len(simulator.mailbox) == 1


async def test_hang_for_some_seconds_ends_without_an_answer(
    simulator: Simulator, caller: Caller, jane: dict[str, Any]
) -> None:
    """With `seconds` it is the server that gives up."""
    simulator.add_fault("hang", seconds=0.2, processed=False, next=1)
    start = time.monotonic()

    with pytest.raises(aiohttp.ServerDisconnectedError):
        await caller.post(jane)
    assert time.monotonic() - start >= 0.2
    assert simulator.mailbox == []


async def test_half_body_breaks_off_in_the_middle(simulator: Simulator, caller: Caller, jane: dict[str, Any]) -> None:
    """The status line says 201, the body never ends."""
    simulator.add_fault("half_body", next=1)

    with pytest.raises(aiohttp.ClientPayloadError):
        await caller.post(jane)
    assert len(simulator.mailbox) == 1


async def test_half_body_delivers_the_first_half(simulator: Simulator, jane: dict[str, Any]) -> None:
    """Content-Length announces all bytes; half of them arrive before the connection ends."""
    simulator.add_fault("half_body", next=1)
    host, port = simulator.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = b'{"user": {}}'
    writer.write(
        b"POST /receiver/APIv3/user.create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b" % (TOKEN.encode(), len(body), body)
    )
    head, _, half = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()

    announced = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    assert len(half) == announced // 2


async def test_html_is_a_200_that_is_no_answer(simulator: Simulator, caller: Caller, jane: dict[str, Any]) -> None:
    """A maintenance page looks like success to those who read the status only."""
    simulator.add_fault("html", next=1)
    reply = await caller.post(jane)
    assert (reply.status, reply.headers["Content-Type"].partition(";")[0]) == (200, "text/html")


async def test_contradiction_says_created_and_failed(
    simulator: Simulator, caller: Caller, jane: dict[str, Any]
) -> None:
    """A 201 whose body denies it."""
    simulator.add_fault("contradiction", next=1)
    reply = await caller.post(jane)
    assert (reply.status, reply.json) == (201, {"success": False, "result": "User was created."})


async def test_not_json_claims_to_be_json(simulator: Simulator, caller: Caller, jane: dict[str, Any]) -> None:
    """A 201 labelled as JSON that cannot be parsed."""
    simulator.add_fault("not_json", next=1)
    reply = await caller.post(jane)
    assert reply.headers["Content-Type"].startswith("application/json")
    with pytest.raises(ValueError, match="Expecting value"):
        _ = reply.json


async def test_slow_body_arrives_byte_by_byte(simulator: Simulator, caller: Caller, jane: dict[str, Any]) -> None:
    """The true answer, in more time than a client may have."""
    simulator.add_fault("slow_body", interval=0.005, next=1)
    start = time.monotonic()

    reply = await caller.post(jane)

    assert (reply.status, reply.json["success"]) == (201, True)
    assert time.monotonic() - start >= 0.005 * len(reply.body)


async def test_slow_body_survives_a_client_that_leaves(
    simulator: Simulator, caller: Caller, jane: dict[str, Any]
) -> None:
    """The call ends without a complete answer, and the server lives on."""
    simulator.add_fault("slow_body", interval=0.02, next=1)

    with pytest.raises(TimeoutError):
        await caller.post(jane, patience=0.1)
    await until(lambda: simulator.summary().in_flight == 0)
    assert simulator.calls[0].status is None
    assert (await caller.post(jane)).status == 200


@pytest.mark.parametrize("size", [100, 65_537, 3_000_000])
async def test_huge_body_is_valid_json_of_that_size(
    simulator: Simulator, caller: Caller, jane: dict[str, Any], size: int
) -> None:
    """A client that reads all of it gets the true answer, padded."""
    simulator.add_fault("huge_body", bytes=size, next=1)

    reply = await caller.post(jane)

    assert (reply.status, len(reply.body), reply.json["success"]) == (201, size, True)


async def test_redirect_followed_leaks_the_token(simulator: Simulator, caller: Caller, jane: dict[str, Any]) -> None:
    """A client that follows hands its token to the target; one that does not, does not."""
    simulator.add_fault("redirect", next=2)

    stayed = await caller.post(jane)
    assert (stayed.status, stayed.headers["Location"]) == (307, REDIRECT_TARGET)
    assert simulator.summary().tokens_leaked == 0

    assert (await caller.post(jane, follow=True)).status == 404
    assert simulator.summary().tokens_leaked == 1
    assert simulator.mailbox == []


async def test_redirect_to_another_server_is_recorded_there(
    simulator: Simulator, caller: Caller, jane: dict[str, Any]
) -> None:
    """`location` may name another simulator, whose summary then tells; aiohttp keeps the token back."""
    async with Simulator(TOKEN) as elsewhere:
        simulator.add_fault("redirect", location=elsewhere.url + REDIRECT_TARGET, next=1)

        assert (await caller.post(jane, follow=True)).status == 404
        assert elsewhere.summary().requests_by_status == {"404": 1}
        assert elsewhere.summary().tokens_leaked == 0


@pytest.mark.parametrize("processed", [None, True, False])
@pytest.mark.parametrize("kind", PROCESSED_BY_DEFAULT)
async def test_each_fault_mails_as_it_was_told(
    simulator: Simulator, caller: Caller, jane: dict[str, Any], kind: str, processed: bool | None
) -> None:
    """`processed` decides about the effect, and each kind has its default."""
    options = {} if processed is None else {"processed": processed}
    simulator.add_fault(kind, next=1, **options)

    await post_whatever_comes(caller, jane)

    expected = PROCESSED_BY_DEFAULT[kind] if processed is None else processed
    assert len(simulator.mailbox) == int(expected)
    assert simulator.calls[0].fault == kind


async def test_a_processed_fault_with_a_wrong_token_mails_nobody(simulator: Simulator, jane: dict[str, Any]) -> None:
    """Processing includes the check of the token and of the person."""
    simulator.add_fault("status", status=500, processed=True, next=1)
    async with aiohttp.ClientSession(simulator.url) as session:
        reply = await Caller(session).request("POST", "/receiver/APIv3/user.create", json={"user": jane})
    assert reply.status == 500
    assert simulator.mailbox == []


async def test_faults_are_tried_in_order_and_the_first_that_strikes_wins(
    simulator: Simulator, caller: Caller, jane: dict[str, Any]
) -> None:
    """A used-up fault makes way for the next; after the last, calls are normal."""
    simulator.add_fault("status", status=503, next=2)
    simulator.add_fault("status", status=500, next=1)

    assert [(await caller.post(jane)).status for _ in range(4)] == [503, 503, 500, 201]
    assert simulator.summary().faults_by_kind == {"status": 3}


async def test_a_share_with_a_seed_strikes_the_same_calls_each_time(jane: dict[str, Any]) -> None:
    """A test that failed can be repeated."""
    patterns = []
    for _ in range(2):
        async with Simulator(TOKEN) as simulator, aiohttp.ClientSession(simulator.url) as session:
            simulator.add_fault("status", status=500, share=0.5, seed=7)
            caller = Caller(session)
            patterns.append([(await caller.post(jane)).status for _ in range(30)])
    assert patterns[0] == patterns[1]
    assert 5 < patterns[0].count(500) < 25


@pytest.mark.parametrize(("share", "status"), [(0, 201), (1, 500)])
async def test_share_zero_never_and_share_one_always_strikes(
    simulator: Simulator, caller: Caller, jane: dict[str, Any], share: float, status: int
) -> None:
    """The ends of the scale are exact."""
    simulator.add_fault("status", status=500, share=share)
    for number in range(5):
        assert (await caller.post(jane | {"Email": f"p{number}@acme.example"})).status == status


async def test_cleared_faults_strike_no_more(simulator: Simulator, caller: Caller, jane: dict[str, Any]) -> None:
    """Clearing says how many there were."""
    simulator.add_fault("status", status=500, share=1)
    assert simulator.clear_faults() == 1
    assert (await caller.post(jane)).status == 201


async def test_faults_are_posted_listed_and_deleted_over_http(
    simulator: Simulator, caller: Caller, jane: dict[str, Any]
) -> None:
    """The demo has no Python at hand, only curl."""
    added = await caller.request("POST", "/simulator/faults", json={"kind": "status", "status": 503, "next": 3})
    assert added.status == 201
    await caller.post(jane)

    (listed,) = (await caller.request("GET", "/simulator/faults")).json
    assert (listed["kind"], listed["next"], listed["fired"], listed["status"]) == ("status", 2, 1, 503)

    assert (await caller.request("DELETE", "/simulator/faults")).json == {"cleared": 1}
    assert (await caller.request("GET", "/simulator/faults")).json == []


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ({"kind": "explode", "next": 1}, "explode"),
        ({"next": 1}, "kind"),
        ({"kind": ["hang"], "next": 1}, "kind"),
        ({"kind": "hang"}, "next"),
        ({"kind": "hang", "next": 1, "share": 0.5}, "share"),
        ({"kind": "hang", "next": 0}, "next"),
        ({"kind": "hang", "next": True}, "next"),
        ({"kind": "hang", "share": 1.5}, "share"),
        ({"kind": "hang", "share": "all"}, "share"),
        ({"kind": "hang", "next": 1, "seed": 3}, "seed"),
        ({"kind": "hang", "share": 1, "seed": "x"}, "seed"),
        ({"kind": "hang", "next": 1, "seconds": -1}, "seconds"),
        ({"kind": "hang", "next": 1, "status": 500}, "status"),
        ({"kind": "hang", "next": 1, "processed": "yes"}, "processed"),
        ({"kind": "latency", "next": 1}, "seconds"),
        ({"kind": "latency", "next": 1, "seconds": None}, "seconds"),
        ({"kind": "status", "next": 1}, "status"),
        ({"kind": "status", "next": 1, "status": 99}, "status"),
        ({"kind": "status", "next": 1, "status": 500, "body": 7}, "body"),
        ({"kind": "status", "next": 1, "status": 500, "headers": {"X": "a\r\nY: b"}}, "headers"),
        ({"kind": "status", "next": 1, "status": 500, "headers": {"Content-Length": "9"}}, "Content-Length"),
        ({"kind": "status", "next": 1, "status": 500, "headers": ["Retry-After"]}, "headers"),
        ({"kind": "huge_body", "next": 1, "bytes": 0}, "bytes"),
        ({"kind": "redirect", "next": 1, "location": "javascript:x"}, "location"),
        ({"kind": "reset_before_read", "next": 1, "processed": True}, "processed"),
        (["hang"], "object"),
    ],
)
async def test_a_wrongly_described_fault_is_a_400_that_names_what_is_wrong(
    simulator: Simulator, caller: Caller, fault: object, named: str
) -> None:
    """Unknown kinds and options, and values out of range, are refused, not guessed."""
    reply = await caller.request("POST", "/simulator/faults", json=fault)

    assert reply.status == 400
    assert named in reply.json["error"]
    assert (await caller.request("GET", "/simulator/faults")).json == []


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [(b"{", "application/json", 400), (b'{"kind": "html", "next": 1}', "text/plain", 415)],
)
async def test_a_fault_that_is_no_json_is_refused(caller: Caller, body: bytes, content_type: str, status: int) -> None:
    """A form on some web page cannot switch faults on."""
    headers = {"Content-Type": content_type}
    assert (await caller.request("POST", "/simulator/faults", data=body, headers=headers)).status == status


def test_a_wrong_fault_in_process_raises() -> None:
    """Tests learn about a typo at once."""
    with pytest.raises(FaultError, match="unknown option 'secs'"):
        Simulator(TOKEN).add_fault("hang", secs=1, next=1)
