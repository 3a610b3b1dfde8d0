"""`make screenshots`: the pictures in docs/, taken from the demo's people in a real Airflow."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa
from demo.layout import Layout, Ports
from demo.stack import Stack, StackConfig
from demo.warehouse import Warehouse
from demo.web import call
from playwright.sync_api import Page

from tests.e2e.browser import CHROMIUM, logged_in
from tests.faults.airflow import DAG, wait

DOCS = Path(__file__).resolve().parents[2] / "docs"
FAULTS = (
    {"kind": "status", "status": 422, "share": 0.08, "seed": 3},
    {"kind": "reset_after_read", "share": 0.03, "seed": 5, "processed": True},
)


def main() -> int:
    if CHROMIUM is None:
        sys.stderr.write("No Chromium on the PATH: install Debian's package `chromium`.\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="o2o-screenshots-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with Stack(StackConfig(Layout(run_dir=Path(folder)), Ports(0, 0, 0), fsync=False)) as stack:
            employee = _live_through(stack)
            with logged_in(stack.airflow_url, "admin", stack.secrets.admin_password) as page:
                _shoot(stack, page, employee)
    return 0


def _live_through(stack: Stack) -> str:
    """A few runs in which not everything goes well. Returns somebody in doubt, or registered if all went well."""
    while stack.api.schedule(DAG) is None:
        time.sleep(0.5)
    stack.api.unpause(DAG)
    wait(stack, stack.api.trigger(DAG))
    for fault in FAULTS:
        call("POST", f"{stack.simulator_url}/simulator/faults", fault)
    for _ in range(2):
        Warehouse(stack.warehouse_url).add(120)
        wait(stack, stack.api.trigger(DAG))
    engine = sa.create_engine(stack.ledger_url)
    with engine.connect() as connection:
        found = connection.scalar(
            sa.text("select employee_id from o2o.registration order by status = 'in_doubt' desc, employee_id limit 1")
        )
    engine.dispose()
    return str(found)


def _shoot(stack: Stack, page: Page, employee: str) -> None:
    page.goto(f"{stack.airflow_url}/plugin/o2o")
    page.frame_locator("iframe").locator(".plot canvas").wait_for()
    page.screenshot(path=DOCS / "overview.png")
    page.goto(f"{stack.airflow_url}/o2o/")
    page.fill("#query", employee)
    page.click("#find button")
    page.locator("#sentence").wait_for()
    page.screenshot(path=DOCS / "person.png")
    page.locator("#tabs").get_by_role("button", name="Refused").click()
    page.locator("main table").wait_for()
    page.screenshot(path=DOCS / "worklist.png")
    page.set_viewport_size({"width": 390, "height": 800})
    page.evaluate("localStorage.setItem('theme', 'dark')")
    page.goto(f"{stack.airflow_url}/o2o/")
    page.locator(".plot canvas").wait_for()
    page.screenshot(path=DOCS / "phone.png")


if __name__ == "__main__":
    sys.exit(main())
