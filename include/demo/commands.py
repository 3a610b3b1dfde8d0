"""The demo's commands, each a function that returns an exit code."""

from __future__ import annotations

import shutil
from collections import Counter
from datetime import UTC, datetime

from demo import airflow, state
from demo.console import Reporter
from demo.errors import AlreadyRunning, DemoError, NotRunning, ProcessDied, StopRequested
from demo.first_run import DAG_ID, FirstRun, explain_failure
from demo.first_run import run as first_run_of
from demo.layout import HR_WAREHOUSE, Layout, Ports, Secrets
from demo.outcome import Outcome, read_outcome, show
from demo.postgres import PostgresServer
from demo.processes import StopSignal
from demo.rest import AirflowApi
from demo.stack import Stack, StackConfig
from demo.warehouse import Filled, Warehouse
from demo.web import HttpError

NOT_RUNNING = 3


def run(layout: Layout, ports: Ports, reporter: Reporter, *, exit_after_first_run: bool = False) -> int:
    """Start, run the DAG once, show what came of it, supervise until asked to stop."""
    stop_signal = StopSignal()
    stop_signal.install()
    stack = Stack(StackConfig(layout, ports), reporter, stop_signal)
    try:
        stack.start()
    except AlreadyRunning:
        return _say_already_running(layout, reporter)
    try:
        good = _first_run(stack, reporter)
        if exit_after_first_run:
            return 0 if good else 1
        _greet(stack, reporter)
        stack.supervisor.watch(stop_signal, reporter.warn)
    except StopRequested:
        pass
    except ProcessDied as error:
        reporter.error(str(error))
        return 1
    finally:
        reporter.line("Stopping everything (10 to 20 s) ...")
        stack.stop()
        reporter.line("Stopped. The data stays; `make run` goes on with it.")
    return 0


def _first_run(stack: Stack, reporter: Reporter) -> bool:
    """Whether it went well. What goes wrong here does not stop the stack: it is there to be looked into."""
    try:
        done = first_run_of(stack, reporter)
        outcome = read_outcome(stack.ledger_url, stack.simulator_url)
    except ProcessDied:
        raise
    except (DemoError, HttpError) as error:
        reporter.error(str(error))
        return False
    return _judge(done, outcome, stack.layout, reporter)


def _judge(done: FirstRun, outcome: Outcome, layout: Layout, reporter: Reporter) -> bool:
    if not done.good:
        reporter.error(explain_failure(done, layout.task_logs))
    show(outcome, reporter)
    return done.good and outcome.good


def _greet(stack: Stack, reporter: Reporter) -> None:
    reporter.line()
    reporter.line(f"Airflow       {stack.airflow_url}   user {airflow.ADMIN}, password {stack.secrets.admin_password}")
    reporter.line(f"              (user {airflow.VIEWER}, password {stack.secrets.viewer_password} may only look)")
    reporter.line(f"Mailbox       {stack.simulator_url}/   what o2o would have sent to people")
    reporter.line(f"PostgreSQL    127.0.0.1:{stack.ports.postgres}, password in {stack.layout.secrets_file}")
    reporter.line(f"Logs          {stack.layout.logs}")
    reporter.line("More people   make people N=20     Mend the bad HR rows   make mend")
    reporter.line("To stop       Ctrl-C, or make stop")


def _say_already_running(layout: Layout, reporter: Reporter) -> int:
    found = state.StackState.read(layout.state_file)
    where = airflow.base_url(found.ports) if found else "an address that it will tell"
    reporter.line(f"It runs already: {where}. `make stop` stops it, `make status` says more.")
    return 0


def people(layout: Layout, reporter: Reporter, count: int) -> int:
    warehouse = _warehouse(layout)
    added = warehouse.add(count)
    reporter.line(f"Added {added.people} interested people to HR; {len(added.defects)} of the rows have a defect.")
    _list_defects(added, reporter)
    reporter.line(_next_run(layout))
    return 0


def mend(layout: Layout, reporter: Reporter) -> int:
    mended = _warehouse(layout).mend()
    if not mended.people:
        reporter.line("Nothing to mend: no demo row has its defect any more.")
        return 0
    reporter.line(f"Mended {mended.people} HR rows:")
    _list_defects(mended, reporter)
    reporter.line(_next_run(layout))
    return 0


def _list_defects(filled: Filled, reporter: Reporter) -> None:
    for defect, count in Counter(filled.defects).items():
        reporter.line(f"  {count} x {defect}")


def _warehouse(layout: Layout) -> Warehouse:
    found = state.running(layout)
    secrets = Secrets.load(layout.secrets_file)
    server = PostgresServer(layout.postgres, found.ports.postgres, password=secrets.postgres_password)
    if not server.answers():
        raise NotRunning("PostgreSQL does not answer yet; try again when `make run` says so.")
    return Warehouse(server.url(HR_WAREHOUSE))


def _next_run(layout: Layout) -> str:
    secrets = Secrets.load(layout.secrets_file)
    url = airflow.base_url(state.running(layout).ports)
    try:
        schedule = AirflowApi(url, airflow.ADMIN, secrets.admin_password).schedule(DAG_ID)
    except HttpError:
        return "Airflow does not answer yet; its first run picks them up."
    if schedule is None or schedule.next_run is None or schedule.paused:
        return f"The DAG {DAG_ID} is paused: unpause or trigger it in Airflow ({url}) to have them registered."
    seconds = max(0, round((schedule.next_run - datetime.now(UTC)).total_seconds()))
    at = schedule.next_run.astimezone().strftime("%H:%M:%S")
    return f"The next run picks them up at {at}, in {seconds // 60} min {seconds % 60:02} s: {url}"


def stop(layout: Layout, reporter: Reporter) -> int:
    if not state.stop(layout):
        reporter.line("Nothing is running.")
        return 0
    reporter.line("Stopped. The data stays; `make run` goes on with it.")
    return 0


def status(layout: Layout, reporter: Reporter) -> int:
    try:
        found = state.running(layout)
    except NotRunning as error:
        reporter.line(str(error))
        return NOT_RUNNING
    rows = [(record.name, record.pid, "runs" if record.alive else "ended") for record in found.processes]
    reporter.table("Processes", ("name", "pid", "state"), rows)
    reporter.line(f"Airflow {airflow.base_url(found.ports)}, user {airflow.ADMIN}, password: see {layout.secrets_file}")
    reporter.line(f"PostgreSQL on port {found.ports.postgres}, o2o simulator on port {found.ports.simulator}")
    return 0


def clean(layout: Layout, reporter: Reporter) -> int:
    if state.is_running(layout):
        raise DemoError("It is running: `make stop` first.")
    if not layout.run_dir.exists():
        reporter.line("Nothing to delete.")
        return 0
    state.stop_leftovers(layout)
    # Its data may be elsewhere, see `postgres`.
    PostgresServer(layout.postgres, password="-").destroy()
    shutil.rmtree(layout.run_dir)
    reporter.line(f"Deleted {layout.run_dir}.")
    return 0
