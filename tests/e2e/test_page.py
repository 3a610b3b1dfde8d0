"""The "o2o registrations" page, in a browser, by the engineer on call and by somebody who may only look."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote

import pytest
from demo.airflow import VIEWER
from demo.web import call
from playwright.sync_api import Page, expect

from tests.e2e.browser import logged_in, needs_chromium
from tests.e2e.conftest import Live

pytestmark = [pytest.mark.e2e, pytest.mark.integration]
browser = pytest.mark.browser


@pytest.fixture
def doubtful(live: Live) -> str:
    """Somebody in doubt, under the policy that leaves it to a person. Returns the employee id."""
    live.world.settings(in_doubt={"policy": "hold"}, delivery={"breaker_failures": 50})
    live.world.pass_time(3600)
    live.world.simulator.add_fault("reset_after_read", next=1, processed=True)
    (one,) = live.world.hire(1)
    assert live.run() == "success"
    # a scheduled run may have taken the person along
    live.until(lambda: one in live.world.ids("in_doubt"), 60)
    return one


def token(live: Live, user: str, password: str) -> str:
    answer = call("POST", f"{live.stack.airflow_url}/auth/token", {"username": user, "password": password})
    return str(answer["access_token"])


def page_call(
    live: Live, path: str, bearer: str | None = None, body: Any = None, header: bool = True
) -> tuple[int, Any]:
    """Status and answer of a request to the page's API."""
    headers = {"Content-Type": "application/json"}
    headers |= {"Authorization": f"Bearer {bearer}"} if bearer else {}
    headers |= {"X-O2O": "1"} if header else {}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{live.stack.airflow_url}/o2o/{path}", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read().decode()
            return answer.status, json.loads(text) if "json" in answer.headers["Content-Type"] else text
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_strangers_see_nothing_and_lookers_see_masked_data_and_cannot_act(live: Live, doubtful: str) -> None:
    """Reading and acting are separate permissions, taken from Airflow's own."""
    admin = token(live, "admin", live.stack.secrets.admin_password)
    viewer = token(live, VIEWER, live.stack.secrets.viewer_password)
    find = ("api/person", {"text": doubtful})
    for path, body in (("", None), ("api/overview", None), find, ("api/docs?run=x", None), ("api/act", {})):
        assert page_call(live, path, body=body)[0] == 401
    status, seen = page_call(live, find[0], viewer, find[1])
    assert status == 200
    assert seen["person"]["details"]["LastName"] == "P…"
    assert "Peeters" not in json.dumps(seen)
    assert "Peeters" in json.dumps(page_call(live, find[0], admin, find[1])[1])
    decision = {"action": "confirm in doubt", "employee_ids": [doubtful], "why": "there"}
    assert page_call(live, "api/act", viewer, decision)[0] == 403
    assert page_call(live, "api/act", admin, decision, header=False)[0] == 403
    assert page_call(live, "api/act", admin, {**decision, "why": " "})[0] == 422
    assert doubtful in live.world.ids("in_doubt")
    for path in ("docs", "openapi.json", "api/docs?run=../../secrets", "static/../o2o_page_app.py"):
        assert page_call(live, path, admin)[0] == 404


@browser
@needs_chromium
def test_an_engineer_finds_a_person_in_doubt_and_confirms_with_clicks(live: Live, doubtful: str) -> None:
    """By e-mail address, which gets into no URL; the audit has name and reason."""
    urls: list[str] = []
    with logged_in(live.stack.airflow_url, "admin", live.stack.secrets.admin_password) as page:
        page.on("request", lambda request: urls.append(request.url))
        page.goto(f"{live.stack.airflow_url}/o2o/")
        expect(page.locator("#funnel .card")).to_have_count(4)
        expect(page.locator(".plot canvas")).to_be_visible()
        page.fill("#query", f"{doubtful}@EXAMPLE.com")
        page.click("#find button")
        expect(page.locator("#sentence")).to_contain_text("its answer is not known")
        page.get_by_role("button", name="Confirm: o2o has them").click()
        page.fill("#why", "on o2o's list")
        page.click("#ask-ok")
        expect(page.locator("#message")).to_contain_text("confirm in doubt: 1 people (admin)")
        expect(page.locator("h2").first).to_have_text(f"{doubtful}: existing")
        assert "null" not in page.inner_text("main")
    assert not any("example" in url.lower() for url in urls)
    assert all(url.startswith((live.stack.airflow_url, "blob:", "data:")) for url in urls)
    audit = live.world.query(f"select actor from o2o.audit where employee_id = '{doubtful}' and event = 'confirmed'")
    assert audit == [("admin",)]


@browser
@needs_chromium
def test_markup_and_formulas_in_hr_rows_stay_text(live: Live) -> None:
    """A name is a name, in the page and in the download."""
    evil = "=<img src=x onerror=alert(1)>"
    with live.world.engine.begin() as connection:
        connection.exec_driver_sql(
            "insert into hr.employee values ('X1', 'P1', %s, 'Peeters', 'nobody', 'nl', '', 'ACME', true, now())",
            (evil,),
        )
    assert live.run() == "success"
    admin = token(live, "admin", live.stack.secrets.admin_password)
    assert f",'{evil}," in page_call(live, "api/worklist.csv", admin, {"name": "quarantined"})[1]
    with logged_in(live.stack.airflow_url, "admin", live.stack.secrets.admin_password) as page:
        page.on("dialog", lambda dialog: pytest.fail("a script ran"))
        page.goto(f"{live.stack.airflow_url}/o2o/")
        page.locator("#tabs").get_by_role("button", name="Set aside").click()
        expect(page.locator("main table").first).to_contain_text(evil)
        assert page.locator("main img").count() == 0


@browser
@needs_chromium
def test_a_click_on_a_columns_head_sorts_by_it_and_another_turns_it_round(live: Live) -> None:
    """Said to screen readers, too."""
    bad = [("Z2", "aaa"), ("A1", "bbb"), ("M3", "ccc")]
    with live.world.engine.begin() as connection:
        for employee, email in bad:
            connection.exec_driver_sql(
                "insert into hr.employee values (%s, 'P1', 'Ann', 'Peeters', %s, 'nl', '', 'ACME', true, now())",
                (employee, email),
            )
    assert live.run(max_bad_share=1.0) == "success"
    with logged_in(live.stack.airflow_url, "admin", live.stack.secrets.admin_password) as page:
        page.goto(f"{live.stack.airflow_url}/o2o/")
        page.locator("#tabs").get_by_role("button", name="Set aside").click()
        head = page.locator("th", has=page.get_by_role("button", name="Employee"))
        for direction in ("ascending", "descending"):
            head.get_by_role("button").click()
            expect(head).to_have_attribute("aria-sort", direction)
            ids = page.locator("main tbody tr td:first-child").all_inner_texts()
            assert ids == sorted(ids, reverse=direction == "descending")
            assert len(ids) >= len(bad)


@browser
@needs_chromium
def test_the_page_is_in_airflows_navigation_and_on_its_runs(live: Live) -> None:
    """From a run it shows that run alone."""
    live.world.hire(3)
    run = live.trigger()
    live.until(lambda: live.stack.api.run_state("o2o_register_interested_employees", run) == "success")
    with logged_in(live.stack.airflow_url, "admin", live.stack.secrets.admin_password) as page:
        _in_frame(page, f"{live.stack.airflow_url}/plugin/o2o", "interested")
        path = f"/dags/o2o_register_interested_employees/runs/{quote(run, safe='')}/plugin/o2o-run"
        _in_frame(page, live.stack.airflow_url + path, run)
    admin = token(live, "admin", live.stack.secrets.admin_password)
    status, found = page_call(live, f"api/docs?run={quote(run)}", admin)
    assert status == 200
    assert "rows checked, 0 of them bad" in re.sub(r"\s+", " ", found)
    assert "Peeters" not in found


def _in_frame(page: Page, url: str, words: str) -> None:
    page.goto(url)
    expect(page.frame_locator("iframe").locator("main")).to_contain_text(words)
