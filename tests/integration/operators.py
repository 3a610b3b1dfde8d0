"""The DAG's own `post_users` over a pipeline of the tests, as Airflow runs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from tests.integration.conftest import TOKEN, Pipeline


@dataclass
class Operators:
    """Settings are the pipeline's, and so is the ledger."""

    pipeline: Pipeline
    folder: Path
    env: pytest.MonkeyPatch

    def post(self, run_id: str, seconds: float | None = None, resume: bool = False, **params: Any) -> Any:
        """One try of `post_users`, with an execution_timeout of so many seconds."""
        import o2o_operator
        from airflow.sdk.execution_time.timeout import timeout

        limit = None if seconds is None else timedelta(seconds=seconds)
        operator = o2o_operator.O2OUserCreateOperator(task_id="post_users", execution_timeout=limit)
        with self._deployed("o2o_operator"):
            execute = operator.resume if resume else operator.execute
            if seconds is None:
                return execute(self._context(run_id, params))
            with timeout(seconds):
                return execute(self._context(run_id, params))

    def approve(self, run_id: str, **params: Any) -> Any:
        """One try of `approve_large_batch`."""
        import o2o_approval

        operator = o2o_approval.ApproveLargeBatchOperator(task_id="approve_large_batch")
        with self._deployed("o2o_approval"):
            return operator.execute(self._context(run_id, params))

    @contextmanager
    def _deployed(self, module: str) -> Iterator[None]:
        config = self.folder / "settings.yaml"
        config.write_text(yaml.safe_dump(self.pipeline.config.settings.model_dump()))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(f"{module}.ledger_engine", lambda _: self.pipeline.ledger)
            yield

    def _context(self, run_id: str, params: dict[str, Any]) -> Any:
        defaults = {"dry_run": False, "employee_ids": [], "max_people": None}
        return {"params": {**defaults, **params}, "dag_run": SimpleNamespace(run_id=run_id)}


def deployed(pipeline: Pipeline, folder: Path, env: pytest.MonkeyPatch) -> Operators:
    """A configuration folder and the connection to the simulator; the operator sends what the pipeline posts."""
    import shutil

    from o2o_registration.config import config_dir

    shutil.copytree(config_dir(), folder)
    env.setenv("O2O_CONFIG_DIR", str(folder))
    connection = {"conn_type": "http", "host": pipeline.simulator.url, "password": TOKEN}
    env.setenv("AIRFLOW_CONN_O2O_API", json.dumps(connection))
    return Operators(pipeline, folder, env)
