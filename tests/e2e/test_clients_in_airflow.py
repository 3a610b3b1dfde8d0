"""Client files in a running Airflow: a DAG each, an import error for the broken one, and a page for each client."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from demo.rest import AirflowApi
from demo.web import HttpError
from o2o_registration import ledger
from playwright.sync_api import expect

from tests.e2e.browser import logged_in, needs_chromium
from tests.e2e.conftest import Live
from tests.e2e.test_page import page_call, token
from tests.faults.airflow import DAG, ENDED
from tests.faults.world import World, world

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

ACME, GLOBEX = f"{DAG}__acme", f"{DAG}__globex"
SLIP = f"{DAG}__slip"
"""A client whose connection points at the ledger of another."""
FILE = "mapping: {{bike_plans: {{ACME: {plan}}}}}\n"
BROKEN = "mapping: {bike_plan: {ACME: X}}\n"


@dataclass
class Served:
    """An Airflow with client files, and the two clients' worlds."""

    live: Live
    acme: World
    globex: World
    api: AirflowApi
    remove: Callable[[], None]

    def call(self, method: str, path: str, body: object = None) -> Any:
        return self.api.call(method, path, body)

    def until(self, condition: Callable[[], Any]) -> None:
        """A busy machine may answer too late."""

        def patiently() -> Any:
            try:
                return condition()
            except HttpError as error:
                if error.status:
                    raise
                return None

        self.live.until(patiently, 180)

    def parse(self) -> None:
        """Ask Airflow to read the DAG file again at once."""
        file = self.call("GET", f"/dags/{DAG}")["file_token"]
        self.call("PUT", f"/parseDagFile/{file}")

    def run(self, *dags: str) -> list[str]:
        """The states in which a run of each ended, side by side."""
        runs = []
        for dag in dags:
            self.api.unpause(dag)
            runs.append((dag, self.api.trigger(dag)))
        self.until(lambda: all(self.api.run_state(*run) in ENDED for run in runs))
        return [self.api.run_state(*run) for run in runs]

    def logs(self, dag: str) -> str:
        files = self.live.stack.layout.task_logs.glob(f"dag_id={dag}/**/*.log")
        return "\n".join(file.read_text() for file in files)


@pytest.fixture(scope="module")
def served(airflow_of_the_session: Live) -> Iterator[Served]:
    """Two good files, a broken one and a slip, put into the folder of an Airflow that runs; gone afterwards."""
    live = airflow_of_the_session
    folder = live.world.folder / "config" / "clients"
    with contextlib.ExitStack() as stack:
        places = [stack.enter_context(world(live.world.postgres, live.world.folder, seed=7)) for _ in range(2)]
        made = Served(live, *places, live.stack.api, stack.close)
        # who logs in first may have to wait
        made.until(lambda: made.api.schedule(DAG))
        folder.mkdir()
        stack.callback(_clean, made, folder)
        _connect(made, "acme", made.acme)
        _connect(made, "globex", made.globex)
        _connect(made, "slip", made.globex, made.acme)
        for name, content in (("acme", FILE.format(plan="ACME-2026")), ("globex", FILE.format(plan="GLOBEX-2026"))):
            (folder / f"{name}.yaml").write_text(content)
        (folder / "slip.yaml").write_text(FILE.format(plan="INITECH-2026"))
        (folder / "initech.yaml").write_text(BROKEN)
        made.parse()
        made.until(lambda: all(made.api.schedule(dag) for dag in (ACME, GLOBEX, SLIP)))
        yield made


def _connect(served: Served, name: str, place: World, ledgers: World | None = None) -> None:
    """The client's connections, as somebody would set them in the UI."""
    of = {
        f"hr_warehouse_{name}": place.environment["AIRFLOW_CONN_HR_WAREHOUSE"],
        f"o2o_ledger_{name}": (ledgers or place).environment["AIRFLOW_CONN_O2O_LEDGER"],
        f"o2o_api_{name}": place.environment["AIRFLOW_CONN_O2O_API"],
    }
    for connection, value in of.items():
        served.call("POST", "/connections", {"connection_id": connection, **json.loads(value)})


def _clean(served: Served, folder: Path) -> None:
    """The one DAG is back, and nothing of the clients is left to be scheduled."""
    shutil.rmtree(folder)
    for dag in (ACME, GLOBEX, SLIP):
        if served.api.schedule(dag) is None:
            continue
        served.call("PATCH", f"/dags/{dag}?update_mask=is_paused", {"is_paused": True})
        for run in served.api.active_runs(dag):
            served.call("PATCH", f"/dags/{dag}/dagRuns/{run}", {"state": "failed"})
    before = served.call("GET", f"/dags/{DAG}")["last_parsed_time"]
    served.parse()
    served.until(lambda: served.call("GET", f"/dags/{DAG}")["last_parsed_time"] > before)
    assert not served.call("GET", f"/dags/{DAG}")["is_stale"]


def plans(place: World) -> set[tuple[str, str]]:
    return set(place.query("select employee_id, payload -> 'user' ->> 'BikePlanCode' from o2o.registration"))


def test_each_clients_dag_registers_its_own_people_and_a_strangers_ledger_is_refused(served: Served) -> None:
    """The same employee ids at both; each mailed once, by the client's own plan, and no task of the slip calls."""
    acme, globex = served.acme, served.globex
    mine, theirs = acme.hire(3), globex.hire(2)
    assert set(theirs) < set(mine)
    with acme.engine.begin() as connection:
        ledger.hand_over(connection, "acme")
    assert served.run(ACME, GLOBEX, SLIP) == ["success", "success", "failed"], served.logs(ACME) + served.logs(GLOBEX)
    assert acme.mails() == dict.fromkeys(mine, 1)
    assert globex.mails() == dict.fromkeys(theirs, 1)
    assert plans(acme) == {(one, "ACME-2026") for one in mine}
    assert plans(globex) == {(one, "GLOBEX-2026") for one in theirs}
    assert globex.query("select client from o2o.owner") == [("globex",)]
    words = "The ledger of the connection 'o2o_ledger_slip' belongs to the client 'acme', not to 'slip'"
    assert words in served.logs(SLIP)
    tags = {tag["name"] for tag in served.call("GET", f"/dags/{ACME}")["tags"]}
    assert tags == {"o2o", "hr", "registration", "acme"}


def test_a_broken_file_is_the_one_import_error_and_says_what_to_mend(served: Served) -> None:
    """Under the file that is made for it, so that Airflow drops nobody else's DAG."""

    def errors() -> list[Any]:
        found: list[Any] = served.call("GET", "/importErrors")["import_errors"]
        return found

    served.until(errors)
    # by now every DAG file was read again
    served.until(lambda: served.api.schedule("o2o_maintenance__globex"))
    (error,) = errors()
    assert error["filename"] == "o2o_broken_clients.py"
    *_, head, file, missing, unknown = error["stack_trace"].strip().splitlines()
    assert head.endswith("No DAG is made of initech.yaml until mended; the other clients' DAGs run on.")
    assert file.endswith("clients/initech.yaml does not fit:")
    assert missing == "  mapping.bike_plans: Field required; add it"
    assert unknown.startswith("  mapping.bike_plan: ")
    assert served.api.schedule(f"{DAG}__initech") is None
    for dag in (ACME, GLOBEX):
        found = served.call("GET", f"/dags/{dag}")
        assert (found["is_stale"], found["has_import_errors"]) == (False, False)


def test_the_page_shows_one_client_at_a_time_and_says_what_is_wrong_with_a_broken_one(served: Served) -> None:
    """Never another's people: not by default, and not through a connection that points at their ledger."""
    live = served.live
    admin = token(live, "admin", live.stack.secrets.admin_password)
    known = [{"name": name, "dag_id": f"{DAG}__{name}"} for name in ("acme", "globex", "initech", "slip")]
    assert page_call(live, "api/clients", admin) == (200, known)
    assert page_call(live, "api/overview", admin)[0] == 404
    assert page_call(live, "api/overview?client=default", admin)[0] == 404
    funnels = [page_call(live, f"api/overview?client={name}", admin)[1]["funnel"] for name in ("acme", "globex")]
    assert [funnel["registered"] for funnel in funnels] == [3, 2]
    last = max(served.acme.expected)
    find = {"text": last}
    assert page_call(live, "api/person?client=acme", admin, find)[1]["person"]["employee_id"] == last
    assert page_call(live, "api/person?client=globex", admin, find)[1] == {"matches": [], "person": None}
    for name, words in (("initech", "mapping.bike_plans: Field required"), ("slip", "belongs to the client 'acme'")):
        status, said = page_call(live, f"api/overview?client={name}", admin)
        assert (status, words in said) == (422, True), said


@pytest.mark.browser
@needs_chromium
def test_the_page_lets_one_choose_a_client_and_on_a_clients_dag_it_is_that_clients(served: Served) -> None:
    """The choice stays in the address, so that it can be kept as a bookmark."""
    live = served.live
    with logged_in(live.stack.airflow_url, "admin", live.stack.secrets.admin_password) as page:
        page.goto(f"{live.stack.airflow_url}/o2o/")
        registered = page.locator("#funnel .card").last.locator("b")
        expect(registered).to_have_text("3")
        page.select_option("#client", "globex")
        expect(registered).to_have_text("2")
        assert page.url.endswith("/o2o/?client=globex")
        page.select_option("#client", "initech")
        expect(page.locator("#message")).to_contain_text("initech.yaml does not fit")
        page.goto(f"{live.stack.airflow_url}/o2o/?dag={ACME}")
        expect(registered).to_have_text("3")
        expect(page.locator("h1")).to_have_text("o2o registrations of acme")
        expect(page.locator("#client")).to_be_hidden()


def test_without_client_files_the_one_dag_is_back_and_goes_on_where_it_ended(served: Served) -> None:
    """Its connections and its ledger were nobody else's meanwhile."""
    live = served.live
    served.remove()
    assert page_call(live, "api/overview", token(live, "admin", live.stack.secrets.admin_password))[0] == 200
    (one,) = live.world.hire(1)
    assert live.run() == "success"
    assert live.mailed_once([one])
    assert live.world.query("select client from o2o.owner") == [("default",)]
