"""Types Airflow's commands, a JSON list on standard input, each in a process of its own, with Airflow imported once.

After each it says whether the DAG that it ends with, or else the pipeline's, is paused, and the exit code.
"""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
import sys
import traceback
from pathlib import Path

DAG = "o2o_register_interested_employees"


def typed(line: str) -> int:
    """The exit code of what `line` starts."""
    from airflow.__main__ import main

    sys.argv = shlex.split(line)
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else bool(end.code)
    except Exception:  # noqa: BLE001 - as the interpreter would do
        traceback.print_exc(file=sys.stdout)
        return 1
    return 0


def main() -> None:
    sys.argv = ["airflow"]
    import airflow.cli.commands.backfill_command
    import airflow.cli.commands.dag_command
    import airflow.cli.commands.plugins_command  # noqa: F401 - for the children

    for line in json.load(sys.stdin):
        print("\n>>>", line, flush=True)
        child = os.fork()
        if not child:
            code = typed(line)
            sys.stdout.flush()
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        database = sqlite3.connect(Path(os.environ["AIRFLOW_HOME"]) / "airflow.db")
        query = "select is_paused from dag where dag_id in (?, ?) order by dag_id = ?"
        paused = database.execute(query, [line.split()[-1], DAG, DAG]).fetchone()
        database.close()
        print("\npaused:", *(paused or ()))
        print("<<<", code, flush=True)


if __name__ == "__main__":
    main()
