"""The real operator against real servers: who may not have people's data gets nothing, and everybody stays pending."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from o2o_registration.__main__ import URL, main
from o2o_registration.config import config_dir
from o2o_registration.ledger import check_owner
from o2o_simulator import running_simulator

from tests.integration.certificates import NOW, Authority
from tests.integration.companys_proxy import Proxy
from tests.integration.conftest import TOKEN, Pipeline, person

pytestmark = pytest.mark.usefixtures("airflow_imported")


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("company"))


class Desk:
    """The pipeline with the operator as its `post_users`, and the connections as somebody filled them in."""

    def __init__(self, pipeline: Pipeline, folder: Path, env: pytest.MonkeyPatch) -> None:
        self.pipeline, self.env, self._folder = pipeline, env, folder
        self.engines: list[sa.Engine] = []
        pipeline.post = self._post  # type: ignore[method-assign,assignment]
        shutil.copytree(config_dir(), folder)
        env.setenv("O2O_CONFIG_DIR", str(folder))
        for name in ("NO_PROXY", "no_proxy"):
            env.delenv(name, raising=False)
        # nothing leaves this machine, not even were a refusal to fail
        self.proxy("http://127.0.0.1:9")
        check_owner(pipeline.ledger, pipeline.config.client, take=True)
        url = pipeline.ledger.url.set(drivername="postgresql")
        env.setenv("AIRFLOW_CONN_O2O_LEDGER", url.render_as_string(hide_password=False))

    def connect(self, host: str, password: str = TOKEN, **extra: Any) -> None:
        self.env.setenv("AIRFLOW_CONN_O2O_API", json.dumps(connection(host, password, **extra)))

    def renamed(self, host: str) -> int:
        """Tell the ledger that its o2o has this name."""
        self.env.setenv(URL, self.pipeline.ledger.url.render_as_string(hide_password=False))
        return main(["server", host])

    def proxy(self, url: str) -> None:
        for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
            self.env.setenv(name, url)

    def settings(self, **sections: dict[str, Any]) -> None:
        path = self._folder / "settings.yaml"
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **sections}))

    def _post(self, run: Any) -> Any:
        import o2o_operator

        real = o2o_operator.ledger_engine

        def keep(client: Any) -> sa.Engine:
            self.engines.append(real(client))
            return self.engines[-1]

        with pytest.MonkeyPatch.context() as patch:
            # in Airflow the pool ends with the task's process
            patch.setattr(o2o_operator, "ledger_engine", keep)
            operator = o2o_operator.O2OUserCreateOperator(task_id="post_users")
            return operator.execute({"params": {}, "dag_run": SimpleNamespace(run_id=run.run_id)})  # type: ignore[typeddict-item]

    def refusal(self) -> str:
        """A run that fails for good, and leaves everybody pending and nobody in doubt."""
        from airflow.sdk.exceptions import AirflowFailException

        with pytest.raises(AirflowFailException) as caught:
            self.pipeline.run()
        assert {*self.pipeline.statuses().values()} - {"created"} == {"pending"}
        return str(caught.value)

    def attempts(self) -> list[str]:
        return [outcome for (outcome,) in self.pipeline.query("select distinct outcome from o2o.attempt")]


@pytest.fixture
def desk(pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    made = Desk(pipeline, tmp_path / "config", monkeypatch)
    yield made
    for engine in made.engines:
        engine.dispose()


def connection(host: str, password: str, **extra: Any) -> dict[str, Any]:
    return {"conn_type": "http", "host": host, "password": password, "extra": extra}


def hire(desk: Desk, people: int = 20) -> None:
    desk.pipeline.hire(*(person(number) for number in range(people)))


@pytest.mark.parametrize(
    ("host", "ends", "trusted", "words"),
    [
        ("127.0.0.1", timedelta(days=1), False, "unable to get local issuer certificate"),
        ("acc-api.o2o.be", timedelta(days=1), True, "not valid for '127.0.0.1'"),
        ("127.0.0.1", timedelta(days=-1), True, "certificate has expired"),
    ],
    ids=["a CA that nobody knows", "another host's name", "expired"],
)
def test_who_does_not_prove_to_be_o2o_is_told_nothing(
    desk: Desk, company: Authority, host: str, ends: timedelta, trusted: bool, words: str
) -> None:
    """The run stops at once; with the right certificate everybody is registered, once."""
    hire(desk)
    with running_simulator(TOKEN, tls=company.server(host, NOW + ends)) as stranger:
        desk.connect(stranger.url, **({"ca_file": str(company.pem)} if trusted else {}))
        said = desk.refusal()
        assert stranger.calls == []
    assert words in said
    assert "connection 'o2o_api'" in said
    assert "'ca_file'" in said
    assert desk.attempts() == ["wrong_certificate"]
    assert len(desk.pipeline.query("select from o2o.attempt")) <= 10
    with running_simulator(TOKEN, tls=company.server("127.0.0.1")) as o2o:
        desk.connect(o2o.url, ca_file=str(company.pem))
        assert desk.pipeline.run().created == 20
        assert len(o2o.mailbox) == 20


def test_a_run_that_met_a_wrong_certificate_adds_up(desk: Desk, company: Authority) -> None:
    """Its calls count as not processed when the next run writes the audit."""
    hire(desk, 1)
    with running_simulator(TOKEN, tls=company.server("127.0.0.1")) as stranger:
        desk.connect(stranger.url)
        desk.refusal()
        desk.connect(stranger.url, ca_file=str(company.pem))
        desk.pipeline.runs -= 1
        # the cleared task's run
        summary = desk.pipeline.run()
    assert (summary.calls, summary.created, summary.not_processed, summary.in_doubt) == (2, 1, 1, 0)


def test_nothing_is_attempted_with_a_connection_that_does_not_fit(desk: Desk, tmp_path: Path) -> None:
    """Each mistake is said with the connection's name and without the token, before any intent is committed."""
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate\n")
    url = desk.pipeline.simulator.url
    mistakes: list[tuple[str, str, dict[str, Any], str]] = [
        ("https://api.o2o.eu", TOKEN, {}, "api.allowed_hosts"),
        ("http://api.o2o.be", TOKEN, {}, "unencrypted"),
        (f"https://{TOKEN}@api.o2o.be", TOKEN, {}, "holds a login"),
        (url, TOKEN, {"verify": False}, "'ca_file'"),
        (url, TOKEN, {"ca_file": str(tmp_path / "nowhere.pem")}, f"{tmp_path}/nowhere.pem, which cannot be read"),
        (url, TOKEN, {"ca_file": str(empty)}, f"{empty}, which holds no certificates"),
        (url, f"{TOKEN}\n", {}, "a space or line break"),
        (url, "", {}, "no password"),
    ]
    hire(desk, 2)
    for host, password, extra, words in mistakes:
        desk.connect(host, password, **extra)
        said = desk.refusal()
        assert words in said
        assert "connection 'o2o_api'" in said
        assert TOKEN not in said
    assert desk.attempts() == []
    assert desk.pipeline.simulator.calls == []


def test_a_listed_host_is_called_through_the_companys_proxy(desk: Desk, company: Authority) -> None:
    """Unlisted, not even the proxy hears of it; o2o's own needs no listing."""
    hire(desk, 1)
    for host, settings in (("gateway.example.com", ["gateway.example.com"]), ("acc-api.o2o.be", [])):
        with running_simulator(TOKEN, tls=company.server(host)) as o2o:
            proxy = Proxy(int(o2o.url.rpartition(":")[2]))
            desk.proxy(proxy.url)
            desk.connect(host, ca_file=str(company.pem))
            if settings:
                assert host in desk.refusal()
                assert proxy.asked == []
            desk.settings(api={"allowed_hosts": settings})
            assert desk.renamed(host) == 0
            assert desk.pipeline.run().created == 1
            proxy.close()
        assert proxy.asked == [f"{host}:443"]
        desk.pipeline.hire(person("next"))


def test_a_ledger_of_one_server_calls_no_other(desk: Desk, company: Authority) -> None:
    """Who is registered at acceptance would count as registered in production, and never be called there."""
    hire(desk, 1)
    hosts = ("acc-api.o2o.be", "api.o2o.be")
    for host in hosts:
        with running_simulator(TOKEN, tls=company.server(host)) as o2o:
            proxy = Proxy(int(o2o.url.rpartition(":")[2]))
            desk.proxy(proxy.url)
            desk.connect(host, ca_file=str(company.pem))
            if host == hosts[0]:
                assert desk.pipeline.run().created == 1
                desk.pipeline.hire(person("next"))
            else:
                said = desk.refusal()
                assert "are registered at acc-api.o2o.be; the connection 'o2o_api' names api.o2o.be" in said
                assert (proxy.asked, o2o.calls) == ([], [])
                # the same o2o by another name
                assert desk.renamed(host) == 0
                assert desk.pipeline.run().created == 1
            proxy.close()


def test_a_proxy_that_refuses_leaves_nobody_in_doubt(desk: Desk) -> None:
    """Nothing was sent: pending again, later."""
    hire(desk, 2)
    desk.settings(delivery={"max_wait_seconds": 1})
    proxy = Proxy(0, refusal="407 Proxy Authentication Required")
    desk.proxy(proxy.url)
    desk.connect("acc-api.o2o.be")
    summary = desk.pipeline.run()
    proxy.close()
    assert summary.in_doubt_now == 0
    assert summary.not_processed == summary.calls == 2
    assert desk.attempts() == ["not_sent"]


def test_a_server_on_this_machine_is_never_called_through_a_proxy(desk: Desk) -> None:
    """It may speak without encryption because nobody is between, and a proxy would be."""
    hire(desk, 1)
    proxy = Proxy(0)
    desk.proxy(proxy.url)
    desk.connect(desk.pipeline.simulator.url)
    assert desk.pipeline.run().created == 1
    proxy.close()
    assert proxy.asked == []


def test_a_new_token_in_the_environment_counts_from_the_next_run(desk: Desk) -> None:
    """Nothing is restarted in between."""
    hire(desk)
    desk.connect(desk.pipeline.simulator.url, "the-token-of-last-year")
    said = desk.refusal()
    assert "password of the connection 'o2o_api'" in said
    assert "the-token-of-last-year" not in said
    desk.connect(desk.pipeline.simulator.url)
    assert desk.pipeline.run().created == 20


def test_a_new_token_in_a_secrets_backend_counts_from_the_next_run(desk: Desk, tmp_path: Path) -> None:
    """Airflow's own backend of files stands for Vault and the like: the process that asks again gets the new one."""
    from airflow.sdk.configuration import clear_secrets_backends_cache

    file = tmp_path / "connections.json"
    desk.env.delenv("AIRFLOW_CONN_O2O_API", raising=False)
    desk.env.setenv("AIRFLOW__SECRETS__BACKEND", "airflow.secrets.local_filesystem.LocalFilesystemBackend")
    desk.env.setenv("AIRFLOW__SECRETS__BACKEND_KWARGS", json.dumps({"connections_file_path": str(file)}))
    url = desk.pipeline.simulator.url
    hire(desk)
    try:
        file.write_text(json.dumps({"o2o_api": connection(url, "the-token-of-last-year")}))
        assert "does not accept our token" in desk.refusal()
        file.write_text(json.dumps({"o2o_api": connection(url, TOKEN)}))
        assert desk.pipeline.run().created == 20
    finally:
        clear_secrets_backends_cache()


def test_the_token_is_masked_and_in_no_line_of_the_log(
    desk: Desk, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Airflow knows it as a secret from the moment it is read; we hand it to no logger in the first place."""
    from airflow.sdk.log import redact

    token = "a-token-that-this-test-alone-has"
    assert redact(f"Bearer {token}") == f"Bearer {token}"
    caplog.set_level(logging.DEBUG)
    hire(desk, 1)
    desk.connect(desk.pipeline.simulator.url, token)
    desk.refusal()
    assert redact(f"Bearer {token}") == "Bearer ***"
    printed = capsys.readouterr()
    assert "does not accept our token" in printed.out
    assert token not in caplog.text + printed.out + printed.err


def test_a_token_that_the_answer_repeats_is_kept_nowhere(desk: Desk) -> None:
    """Neither in the ledger nor in what the run says."""
    token = "a-token/with-a-slash"
    body = {"result": f"The token {token} is unknown.", "success": False}
    desk.pipeline.simulator.add_fault("status", status=401, next=5, body=json.dumps(body).replace("/", "\\/"))
    hire(desk, 1)
    desk.connect(desk.pipeline.simulator.url, token)
    assert "with-a-slash" not in desk.refusal()
    kept = desk.pipeline.query("select row_to_json(t)::text from o2o.attempt t")
    assert len(kept) == 1
    assert "HTTP 401" in kept[0][0]
    assert "[token]" in kept[0][0]
    assert "slash" not in kept[0][0]
