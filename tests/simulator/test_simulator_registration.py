"""What user.create answers, whom it mails, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest
from o2o_simulator import DEMO_BIKE_PLANS, USER_CREATE_PATH, Simulator, Subject
from simulator_caller import NAMED, TOKEN, Caller

MISSING = object()


def subjects(simulator: Simulator) -> list[str]:
    return [mail.subject for mail in simulator.mailbox]


async def test_a_new_person_is_created_and_welcomed(simulator: Simulator, caller: Caller, jane: dict[str, Any]) -> None:
    """A person whom o2o does not know gets 201 and exactly one welcome mail."""
    reply = await caller.post(jane)

    assert (reply.status, reply.json) == (201, {"result": "User was created.", "success": True})
    (mail,) = simulator.mailbox
    assert (mail.to, mail.subject, mail.employee_id, mail.call) == (
        "jane@acme.example",
        "Welcome and set password",
        "ABC123",
        1,
    )


async def test_a_known_address_in_another_case_is_updated_and_told_so(
    simulator: Simulator, caller: Caller, jane: dict[str, Any]
) -> None:
    """o2o knows people by their e-mail address, whatever its case and whoever bears it."""
    await caller.post(jane)
    reply = await caller.post(jane | {"Email": "JANE@Acme.Example", "partner_EmployeeID": "OTHER"})

    assert (reply.status, reply.json) == (200, {"result": "User was updated.", "success": True})
    assert subjects(simulator) == ["Welcome and set password", "You already have account"]
    assert simulator.summary().people == 1
    assert simulator.summary().people_mailed_more_than_once == 1


async def test_a_refused_person_gets_a_failure_mail_and_no_account(
    simulator: Simulator, caller: Caller, jane: dict[str, Any]
) -> None:
    """A refusal mails the person and leaves them as new as before."""
    refused = await caller.post(jane | {"Language": "DE"})
    accepted = await caller.post(jane)

    assert (refused.status, accepted.status) == (422, 201)
    assert subjects(simulator) == [Subject.FAILED, Subject.WELCOME]


@pytest.mark.parametrize("field", ["ContractType", "partner_EmployeeID", "PersonnelNumber"])
async def test_an_optional_field_may_be_left_out(caller: Caller, jane: dict[str, Any], field: str) -> None:
    """The API's three optional fields are optional."""
    del jane[field]
    assert (await caller.post(jane)).status == 201


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[(field, value) for field in ("FirstName", "LastName") for value in (MISSING, "", "  ", 7, None, ["x"])],
        *[("BikePlanCode", value) for value in (MISSING, "", "acme-2026", "ACME-2026 ", 7, None)],
        *[("Language", value) for value in (MISSING, "", "DE", "nl", "fr ", True, None)],
        *[("ContractType", value) for value in ("Clerk", "manager", " ", 7, None)],
        *[("partner_EmployeeID", value) for value in (7, None, {"id": 1})],
        *[("PersonnelNumber", value) for value in (7, None, True)],
        *[("Shoe<b>Size", value) for value in ("42", None)],
        ("FirstName", "\ud800"),
    ],
)
async def test_a_wrong_field_is_refused_by_name_and_the_person_is_mailed(
    simulator: Simulator, caller: Caller, jane: dict[str, Any], field: str, value: object
) -> None:
    """Unknown, missing, mistyped and unlisted values give a 4xx that names the field, and one mail."""
    user = {name: text for name, text in (jane | {field: value}).items() if text is not MISSING}

    reply = await caller.post(user)

    assert reply.status == 422
    assert [error["field"] for error in reply.json["errors"]] == [field]
    assert reply.json["success"] is False
    assert subjects(simulator) == [Subject.FAILED]


@pytest.mark.parametrize(
    "address",
    [
        MISSING,
        None,
        7,
        "",
        "jane",
        "jane@",
        "@acme.example",
        "jane@acme",
        "jane@@acme.example",
        "jane@acme..example",
        ".jane@acme.example",
        "jane.@acme.example",
        "jane j@acme.example",
        " jane@acme.example",
        "jane@acme.example\n",
        "jane@-acme.example",
        "jane@acme.123",
        "jane@acme.example,joe@acme.example",
        "Jane <jane@acme.example>",
        "j" * 65 + "@acme.example",
        "jane@" + "a." * 130 + "example",
    ],
)
async def test_a_bad_address_is_refused_and_nobody_is_mailed(
    simulator: Simulator, caller: Caller, jane: dict[str, Any], address: object
) -> None:
    """Where there is no address to write to, there is no mail."""
    user = {name: text for name, text in (jane | {"Email": address}).items() if text is not MISSING}

    reply = await caller.post(user)

    assert (reply.status, [error["field"] for error in reply.json["errors"]]) == (422, ["Email"])
    assert simulator.mailbox == []


@pytest.mark.parametrize(
    "address", ["o'brien+bikes@acme.example", "jörg@müller.example", "a_b@x-y.acme.example", "j@a.be"]
)
async def test_an_unusual_but_good_address_is_accepted(caller: Caller, jane: dict[str, Any], address: str) -> None:
    """Apostrophes, plus signs, umlauts and short names are no errors."""
    assert (await caller.post(jane | {"Email": address})).status == 201


async def test_every_wrong_field_is_named_at_once(simulator: Simulator, caller: Caller, jane: dict[str, Any]) -> None:
    """One refusal lists all that is wrong, and is one mail."""
    reply = await caller.post(jane | {"Language": "DE", "FirstName": "", "Extra": "x"})

    assert {error["field"] for error in reply.json["errors"]} == {"Language", "FirstName", "Extra"}
    assert len(simulator.mailbox) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"\xff\xfe", "body"),
        (b"[" * 60_000, "body"),
        (b'{"user": {"Email": NaN}}', "body"),
        (b'{"user": {"Email": "a@b.be", "Email": "c@d.be"}}', "body"),
        (b"[]", "user"),
        (b"{}", "user"),
        (b'{"user": []}', "user"),
        (b'{"user": null}', "user"),
    ],
)
async def test_a_body_of_another_shape_is_refused_and_nobody_is_mailed(
    simulator: Simulator, caller: Caller, body: bytes, field: str
) -> None:
    """The body is one JSON object {"user": {...}} in UTF-8, with no field twice."""
    headers = {"Authorization": NAMED, "Content-Type": "application/json"}

    reply = await caller.request("POST", USER_CREATE_PATH, data=body, headers=headers)

    assert 400 <= reply.status < 500
    assert [error["field"] for error in reply.json["errors"]] == [field]
    assert simulator.mailbox == []


async def test_a_field_beside_the_user_is_refused(simulator: Simulator, caller: Caller, jane: dict[str, Any]) -> None:
    """Exactly {"user": {...}}: nothing next to it."""
    body = {"user": jane, "dry_run": True}
    reply = await caller.request("POST", USER_CREATE_PATH, json=body, headers={"Authorization": NAMED})

    assert (reply.status, reply.json["errors"][0]["field"]) == (422, "dry_run")
    assert subjects(simulator) == [Subject.FAILED]


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        TOKEN,
        "Bearer",
        "Bearer wrong",
        f"bearer {TOKEN}",
        f"Bearer  {TOKEN}",
        f"Basic {TOKEN}",
        "Bearer ü",
    ],
)
async def test_a_missing_or_wrong_token_is_401_and_nobody_is_mailed(
    simulator: Simulator, caller: Caller, jane: dict[str, Any], authorization: str | None
) -> None:
    """Nothing happens without exactly the right Authorization header."""
    headers = {} if authorization is None else {"Authorization": authorization}

    reply = await caller.request("POST", USER_CREATE_PATH, json={"user": jane}, headers=headers)

    assert (reply.status, reply.json["success"]) == (401, False)
    assert simulator.mailbox == []
    assert simulator.summary().requests_by_status == {"401": 1}


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "text/json"])
async def test_another_content_type_is_refused(
    simulator: Simulator, caller: Caller, jane: dict[str, Any], content_type: str
) -> None:
    """The API takes JSON and wants it labelled so."""
    headers = {"Authorization": NAMED, "Content-Type": content_type}
    reply = await caller.request("POST", USER_CREATE_PATH, data=json.dumps({"user": jane}).encode(), headers=headers)
    assert reply.status == 415
    assert simulator.mailbox == []


async def test_a_body_that_is_too_large_is_refused(simulator: Simulator, caller: Caller, jane: dict[str, Any]) -> None:
    """A person fits into 64 KiB; the call is counted with its status."""
    reply = await caller.post(jane | {"FirstName": "x" * 70_000})

    assert (reply.status, reply.json["success"]) == (413, False)
    assert [call.status for call in simulator.calls] == [413]


@pytest.mark.parametrize("path", ["/receiver/APIv3/user.login", "/receiver/APIv3/", "/simulator", "/nothing"])
async def test_another_path_is_404_in_json(simulator: Simulator, caller: Caller, path: str) -> None:
    """A wrong path is a 404 that is counted, though it is no call."""
    reply = await caller.request("POST", path, json={})

    assert (reply.status, reply.json["success"]) == (404, False)
    assert (simulator.summary().calls, simulator.summary().requests_by_status) == (0, {"404": 1})


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_another_method_is_405_and_says_which_are_allowed(caller: Caller, method: str) -> None:
    """user.create takes POST only."""
    reply = await caller.request(method, USER_CREATE_PATH)
    assert (reply.status, reply.headers["Allow"]) == (405, "POST")


async def test_the_bike_plans_can_be_chosen(jane: dict[str, Any]) -> None:
    """Codes that the simulator was given are known; its defaults then are not."""
    async with (
        Simulator(TOKEN, bike_plans=["MINE"]) as simulator,
        aiohttp.ClientSession(simulator.url) as session,
    ):
        caller = Caller(session)
        assert (await caller.post(jane | {"BikePlanCode": DEMO_BIKE_PLANS[0]})).status == 422
        assert (await caller.post(jane | {"BikePlanCode": "MINE"})).status == 201


async def test_base_latency_delays_every_call(jane: dict[str, Any]) -> None:
    """Calls in flight at once wait side by side, and the most at once is counted."""
    async with (
        Simulator(TOKEN, base_latency=0.2) as simulator,
        aiohttp.ClientSession(simulator.url) as session,
    ):
        caller = Caller(session)
        start = time.monotonic()
        await asyncio.gather(*(caller.post(jane | {"Email": f"p{n}@acme.example"}) for n in range(5)))
        assert time.monotonic() - start >= 0.2
        assert simulator.summary().max_in_flight == 5
        assert simulator.summary().in_flight == 0
