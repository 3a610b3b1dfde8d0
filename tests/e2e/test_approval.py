"""The mass-mail fuse, answered by a person with a mouse."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from demo.rest import TaskState
from playwright.sync_api import Page

from tests.e2e.browser import logged_in, needs_chromium
from tests.e2e.conftest import Live
from tests.faults.airflow import DAG, wait

pytestmark = [pytest.mark.e2e, pytest.mark.integration, pytest.mark.browser, needs_chromium]


def ask(live: Live, people: int) -> tuple[str, list[str]]:
    """A run that waits for an answer, and the people it is about."""
    ids = live.world.hire(people)
    run = live.trigger(max_people=3)
    live.until(lambda: live.task(run, "approve_large_batch") == "awaiting_input")
    assert live.world.ids("held") >= set(ids)
    return run, ids


def answer(live: Live, run: str, choice: str, pictures: Path) -> str:
    """Click, until the run goes on. Returns what the person got to read."""
    with logged_in(live.stack.airflow_url, "admin", live.stack.secrets.admin_password) as page:
        return _until_heard(page, live, run, choice, pictures)


def _until_heard(page: Page, live: Live, run: str, choice: str, pictures: Path) -> str:
    """An answer that comes sooner than Airflow's scheduler has noticed the pause is lost, and it asks again."""
    tried = _question(live, run).try_number
    text = _answer(page, live, run, choice, pictures)
    live.until(lambda: _question(live, run).state in ("success", "skipped") or _asks(live, run, tried), 150)
    return _until_heard(page, live, run, choice, pictures) if _asks(live, run, tried) else text


def _question(live: Live, run: str) -> TaskState:
    return next(task for task in live.stack.api.tasks(DAG, run) if task.task_id == "approve_large_batch")


def _asks(live: Live, run: str, tried: int) -> bool:
    """Whether a person is asked, for the first time since that try."""
    question = _question(live, run)
    return question.state == "awaiting_input" and question.try_number > tried


def _answer(page: Page, live: Live, run: str, choice: str, pictures: Path) -> str:
    task = f"/dags/{DAG}/runs/{quote(run, safe='')}/tasks/approve_large_batch/required_actions"
    page.goto(live.stack.airflow_url + task)
    button = page.get_by_role("button", name=choice)
    button.wait_for()
    text = page.inner_text("body")
    page.screenshot(path=str(pictures / f"{choice}.png"))
    button.click()
    return text


def test_a_rejected_batch_stays_held_while_new_people_are_registered_and_an_approved_one_is_sent(
    live: Live, tmp_path: Path
) -> None:
    """The question has numbers and no names; nobody of a rejected batch is mailed until the whole is approved."""
    run, held = ask(live, 5)
    text = answer(live, run, "Reject", tmp_path)
    assert "5 people" in text
    assert "limit of 3" in text
    assert "Peeters" not in text
    assert "@example" not in text
    assert wait(live.stack, run) == "success"
    assert not set(held) & set(live.world.mails())
    trickle = live.world.hire(2)
    assert live.run() == "success"
    assert live.mailed_once(trickle)
    assert live.world.ids("held") == set(held)
    again, more = ask(live, 4)
    text = answer(live, again, "Approve", tmp_path)
    assert "9 people" in text
    assert "5 were held before" in text
    assert wait(live.stack, again) == "success"
    assert live.mailed_once(held + more)
    audit = live.world.query("select actor, count(*) from o2o.audit where event = 'approved' group by 1")
    assert audit == [("admin", 9)]
    rejected = live.world.query("select actor, count(*) from o2o.audit where event = 'held' group by 1")
    assert rejected == [("admin", 5)]
