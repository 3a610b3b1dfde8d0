"""A client's file: what it changes of the shared configuration, and what is said of one that does not fit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from o2o_registration import clients
from o2o_registration.clients import Client
from o2o_registration.config import config_dir, load_config
from o2o_registration.errors import ConfigurationError

SHARED = config_dir()
ACME = """
mapping:
  bike_plans:
    "17": ACME-17
"""
Write = Callable[[str, str], Path]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration folder with the project's own three files."""
    made = Path(shutil.copytree(SHARED, tmp_path / "config"))
    shutil.rmtree(made / "clients", ignore_errors=True)
    monkeypatch.setenv("O2O_CONFIG_DIR", str(made))
    return made


@pytest.fixture
def write(folder: Path) -> Write:
    def file(name: str, content: str) -> Path:
        path = folder / "clients" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        return path

    return file


def complaint() -> str:
    """What the DAG file for broken clients raises."""
    with pytest.raises(ConfigurationError) as caught:
        clients.complain()
    return str(caught.value)


def test_without_client_files_there_is_the_one_dag_and_nothing_to_complain_of(folder: Path) -> None:
    """An empty folder for them changes nothing, and what is no client's file in it does not count."""
    for step in ("no folder", "an empty folder", "other files"):
        if step == "an empty folder":
            (folder / "clients").mkdir()
        if step == "other files":
            for name in ("README.md", ".acme.yaml.swp", ".acme.yaml", "acme.yaml.off", "acme.yaml~"):
                (folder / "clients" / name).write_text("not: [yaml")
        assert clients.served() == [Client()], step
        assert clients.names() == ("default",)
        clients.complain()
    assert (Client().dag_id, Client().maintenance_dag_id) == ("o2o_register_interested_employees", "o2o_maintenance")
    assert load_config().client == Client()


def test_each_file_makes_one_client_with_connections_of_its_own_by_its_name(folder: Path, write: Write) -> None:
    """The DAG without a name goes: its connections are nobody's any more."""
    write("acme.yaml", ACME)
    write("globex_be.yaml", ACME + "schedule: '7 * * * 1-5'\nconnections: {api: o2o_globex, warehouse: hr_warehouse}\n")
    assert clients.served() == [
        Client("acme", "hr_warehouse_acme", "o2o_ledger_acme", "o2o_api_acme", "o2o_privacy_acme", "*/5 * * * *"),
        Client(
            "globex_be",
            "hr_warehouse",
            "o2o_ledger_globex_be",
            "o2o_globex",
            "o2o_privacy_globex_be",
            "7 * * * 1-5",
        ),
    ]
    assert [one.dag_id for one in clients.served()] == [
        "o2o_register_interested_employees__acme",
        "o2o_register_interested_employees__globex_be",
    ]
    assert [one.maintenance_dag_id for one in clients.served()] == [
        "o2o_maintenance__acme",
        "o2o_maintenance__globex_be",
    ]
    assert clients.served(only="o2o_register_interested_employees__acme") == clients.served()[:1]
    assert clients.names() == ("acme", "globex_be")
    clients.complain()


def test_bike_plans_are_the_clients_alone_and_all_else_is_laid_over_the_shared_mapping(write: Write) -> None:
    """Nobody gets another employer's plan; the words that HR systems share are written once."""
    write(
        "acme.yaml",
        ACME
        + """
  columns: {email: private_email}
  languages: {Deutsch: EN, nl: FR}
  contract_types: {intern: clerk}
""",
    )
    shared, own = load_config().mapping, load_config(client="acme").mapping
    assert own.bike_plans == {"17": "ACME-17"}
    assert own.columns == shared.columns.model_copy(update={"email": "private_email"})
    assert own.languages == {**shared.languages, "nl": "FR", "deutsch": "EN"}
    assert own.contract_types == {**shared.contract_types, "intern": "clerk"}
    assert own.fingerprint != shared.fingerprint


def test_settings_are_laid_over_number_by_number_and_lists_replace_lists(folder: Path, write: Write) -> None:
    """What the client's file does not name follows the shared file, also when that changes."""
    write("acme.yaml", ACME + "settings: {fuse: {max_people: 7}, notify: {on_failure: []}}\n")
    (folder / "settings.yaml").write_text(
        "fuse: {max_people: 100, answer_hours: 3}\n"
        "delivery: {calls_per_second: 9}\n"
        "notify: {on_failure: [{notifier: a.b, arguments: {to: x}}], on_many_in_doubt: [{notifier: c.d}]}\n"
    )
    shared, own = load_config().settings, load_config(client="acme").settings
    assert (own.fuse.max_people, own.fuse.answer_hours, own.fuse.times_usual) == (7, 3, 10)
    assert own.delivery.calls_per_second == 9
    assert (own.notify.on_failure, own.notify.on_many_in_doubt) == ([], shared.notify.on_many_in_doubt)
    assert shared.fuse.max_people == 100


def test_times_of_a_client_must_fit_the_shared_ones_that_it_keeps(folder: Path, write: Write) -> None:
    """Beside the defaults they would be a contradiction, and what is shared is no default."""
    text = (folder / "settings.yaml").read_text()
    (folder / "settings.yaml").write_text(text.replace("answer_days: 30", "answer_days: 10"))
    write("acme.yaml", ACME + "settings: {privacy: {person_days: 20}}\n")
    assert load_config(client="acme").settings.privacy.person_days == 20
    clients.complain()
    write("acme.yaml", ACME + "settings: {privacy: {person_days: 9}}\n")
    words = r"acme\.yaml does not fit:\n  settings\.privacy: answer_days \(10\) is more than person_days \(9\)"
    with pytest.raises(ConfigurationError, match=words):
        load_config(client="acme")


def test_a_query_of_its_own_replaces_the_shared_one_and_errors_name_where_it_is(write: Write) -> None:
    """Without one, the client's warehouse is read by the shared SQL."""
    query = "select * from hr.staff where employer = 17 and changed_at >= :since and changed_at < :until"
    write("acme.yaml", ACME + f"query: |\n  {query}\n")
    write("globex.yaml", ACME)
    acme, globex = load_config(client="acme"), load_config(client="globex")
    assert (acme.extract_sql.strip(), acme.sql_source) == (query, "clients/acme.yaml (query)")
    assert (globex.extract_sql, globex.sql_source) == (load_config().extract_sql, "interested_employees.sql")
    assert globex.mapping_source == "mapping.yaml or clients/globex.yaml"


def test_data_docs_of_two_clients_do_not_meet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Runs of two DAGs may have the same id, and so their pages the same name."""
    monkeypatch.setenv("O2O_DATA_DOCS_DIR", str(tmp_path))
    assert [clients.data_docs(name) for name in ("default", "acme")] == [tmp_path, tmp_path / "acme"]


BROKEN = {
    "no YAML": ("mapping: [", "not valid YAML: while parsing a flow node"),
    "a star without quotes": (ACME + "schedule: */5 * * * *", "not valid YAML: while scanning an alias in line 5"),
    "tabs": ("mapping:\n\tbike_plans: {}", "not valid YAML"),
    "two documents": (ACME + "---\n" + ACME, "not valid YAML: expected a single document"),
    "a list": ("- mapping", "must hold 'key: value' entries, not a list"),
    "a section twice": (ACME + ACME, "not valid YAML: the key 'mapping' is there twice in line 6"),
    "a company twice": (ACME + '    "17": ACME-18', "not valid YAML: the key '17' is there twice in line 5"),
    "a date that does not exist": (ACME + "schedule: 2026-02-30", "cannot be read: day is out of range for month"),
    "empty": ("", "mapping: Field required; add it"),
    "an empty section": ("mapping:", "mapping: Input should be a valid dictionary"),
    "no bike plans": ("mapping: {languages: {nl: NL}}", "mapping.bike_plans: Field required; add it"),
    "not one bike plan": ("mapping: {bike_plans: {}}", "mapping.bike_plans: .* at least 1 item"),
    "a bike plan without a code": ("mapping: {bike_plans: {ACME: ''}}", "mapping.bike_plans.acme: .* at least 1 char"),
    "a company as a number": ("mapping: {bike_plans: {17: A}}", "mapping.bike_plans: the key 17 is not text; put it"),
    "companies that are one": ("mapping: {bike_plans: {A: x, a: y}}", "mapping.bike_plans: .* mean the same"),
    "an unknown key": (ACME + "plans: 3", "plans: .* no such key: remove it or mend its spelling"),
    "an unknown field": (ACME + "  columns: {mail: m}", r"mapping.columns: there are no fields \['mail'\]; the fields"),
    "one column for two fields": (ACME + "  columns: {email: first_name}", "mapping.columns: .* more than one field"),
    "a language of its own": (ACME + "  languages: {de: DE}", "mapping.languages.de: Input should be 'NL'"),
    "an unknown setting": (ACME + "settings: {fuse: {max_poeple: 1}}", "settings.fuse.max_poeple: .* no such key"),
    "text for a number": (ACME + "settings: {fuse: {max_people: '9'}}", "settings.fuse.max_people: .* valid integer"),
    "a token in the file": (ACME + "token: abc", "token: .* no such key"),
    "an unknown connection": (ACME + "connections: {o2o: x}", "connections.o2o: .* no such key"),
    "a connection's address": (ACME + "connections: {ledger: 'postgresql://a'}", "connections.ledger: .* match"),
    "a schedule by name": (ACME + "schedule: daily", "schedule: is no cron expression of five fields"),
    "a schedule of six fields": (ACME + "schedule: '0 * * * * *'", "schedule: is no cron expression"),
    "hour 24": (ACME + "schedule: '0 24 * * *'", "schedule: is no cron expression"),
    "a number as a schedule": (ACME + "schedule: 5", "schedule: Input should be a valid string"),
    "the 30th of February": (ACME + "schedule: '0 0 30 2 *'", "schedule: names a day that never comes"),
    "a random minute": (ACME + "schedule: 'R * * * *'", "schedule: has the random field 'R'"),
    "a query without a window": (ACME + "query: select 1", r"\(query\) does not use the bound parameter :since"),
    "a file as a query": (ACME + "query: acme.sql", r"\(query\) does not use the bound parameter :since"),
    "half a window": (ACME + "query: 'select :since -- :until'", r"\(query\) does not use the bound parameter :until"),
}


@pytest.mark.parametrize(("content", "words"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_makes_no_dag_and_is_named_with_its_key_while_the_other_client_is_served(
    write: Write, content: str, words: str
) -> None:
    """The import error and a run say the same, in words: no traceback, no address of a manual."""
    path = write("acme.yaml", content)
    write("globex.yaml", ACME)
    assert [one.name for one in clients.served()] == ["globex"]
    said = complaint()
    with pytest.raises(ConfigurationError, match=words) as caught:
        load_config(client="acme")
    assert said == f"No DAG is made of acme.yaml until mended; the other clients' DAGs run on.\n{caught.value}"
    assert str(path) in said
    assert "globex" not in said
    for noise in ("Traceback", 'File "', "pydantic", "https://", "<unicode string>"):
        assert noise not in said
    assert load_config(client="globex").client.name == "globex"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Acme.yaml", "lower case letters, digits and underscores, 60 at most; rename the file"),
        ("acme corp.yaml", "lower case letters"),
        ("_acme.yaml", "lower case letters"),
        ("a-b.yaml", "lower case letters"),
        (f"{'a' * 61}.yaml", "60 at most"),
        ("default.yaml", "'default' means that there are no clients; rename the file"),
        ("acme.yml", "is not read: rename it to acme.yaml"),
        ("acme.YAML", "is not read: rename it to acme.yaml"),
    ],
)
def test_a_file_whose_name_does_not_fit_is_not_overlooked(write: Write, name: str, words: str) -> None:
    """To pass it over in silence would leave its employees out; nor does the DAG without a name come back for it."""
    path = write(name, ACME)
    assert clients.served() == []
    said = complaint()
    assert words in said
    assert str(path) in said


def test_a_second_file_for_a_client_is_named_and_the_client_is_served_by_the_first(write: Write) -> None:
    """Listed once on the page, too."""
    write("acme.yaml", ACME)
    write("acme.yml", ACME)
    assert [one.name for one in clients.served()] == list(clients.names()) == ["acme"]
    assert "acme.yml is not read: there is acme.yaml as well, so remove it." in complaint()
    assert load_config(client="acme").client.name == "acme"


def test_all_broken_files_are_named_in_one_message(folder: Path, write: Write) -> None:
    """And a folder called like a file, and one that is no text."""
    write("acme.yaml", "mapping: {}")
    write("initech.yaml", ACME)
    (folder / "clients" / "globex.yaml").mkdir()
    (folder / "clients" / "hooli.yaml").write_bytes("bike_plans: é".encode("latin-1"))
    assert [one.name for one in clients.served()] == ["initech"]
    said = complaint()
    assert said.startswith("No DAG is made of acme.yaml, globex.yaml, hooli.yaml until mended;")
    for name in ("acme", "globex", "hooli"):
        assert f"{folder / 'clients' / name}.yaml" in said
    assert said.count("must be a UTF-8 text file") == 2


@pytest.mark.parametrize("file", ["interested_employees.sql", "mapping.yaml", "settings.yaml"])
def test_a_mistake_in_a_shared_file_is_no_clients_own_and_is_told_by_the_runs(
    folder: Path, write: Write, file: str
) -> None:
    """The DAGs stay, so that their tasks can name it; a client's own mistake is still found."""
    write("acme.yaml", ACME)
    write("globex.yaml", "plans: 3")
    (folder / file).unlink()
    assert [one.name for one in clients.served()] == ["acme"]
    assert "globex.yaml does not fit" in complaint()
    with pytest.raises(ConfigurationError, match=f"{file} is missing"):
        load_config(client="acme")


def test_who_asks_for_a_client_without_a_file_is_told_where_it_should_be(folder: Path, write: Write) -> None:
    """A DAG may outlive its file by some seconds."""
    write("acme.yaml", ACME)
    with pytest.raises(ConfigurationError, match=r"no client 'globex': .*clients has no globex.yaml") as caught:
        load_config(client="globex")
    assert str(folder) in str(caught.value)
