"""The files that people edit: a mistake names file, key and remedy."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from o2o_registration.config import config_dir, load_config
from o2o_registration.errors import ConfigurationError


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("mapping.yaml", "  nl: NL", "  nl: DE", "languages.nl"),
        ("mapping.yaml", "  email: work_email\n", "", "columns.email: Field required; add it"),
        ("mapping.yaml", "  nl: NL", "  nl: NL\n  ' NL': FR", "mean the same"),
        ("mapping.yaml", "email: work_email", "email: first_name", "more than one field"),
        ("settings.yaml", "calls_per_second: 50", "calls_per_second: -1", "delivery.calls_per_second"),
        ("settings.yaml", "calls_per_second: 50", "calls_per_second: .inf", "calls_per_second: .*finite"),
        ("settings.yaml", "lookback_hours: 24", "lookback_hours: 2.0e+7", "lookback_hours: .*less than or equal"),
        ("settings.yaml", "cool_down_minutes: 15", "cool_down_minutes: .inf", "cool_down_minutes: .*finite"),
        ("settings.yaml", "answer_hours: 12", "answer_hours: 48", "answer_hours: .*less than or equal to 18"),
        ("settings.yaml", "read_seconds: 30", "read_seconds: .nan", "read_seconds: "),
        ("settings.yaml", "times_usual: 10", "times_usual: .inf", "times_usual: .*finite"),
        ("settings.yaml", "max_people: 500", "max_poeple: 500", "fuse.max_poeple.*no such key"),
        ("settings.yaml", "window:", "window: [", "not valid YAML"),
        (
            "settings.yaml",
            "answer_days: 30",
            "answer_days: 91",
            r"privacy: answer_days \(91\) is more than person_days",
        ),
        ("settings.yaml", "person_days: 90", "person_days: 731", r"person_days \(731\) is more than pseudonym_days"),
        (
            "settings.yaml",
            "quarantine_days: 90",
            "quarantine_days: 731",
            "quarantine_days .* is more than pseudonym_days",
        ),
        (
            "settings.yaml",
            "unfinished_days: 7",
            "unfinished_days: 731",
            "unfinished_days .* is more than pseudonym_days",
        ),
        ("interested_employees.sql", ":until", "now()", "bound parameter :until"),
    ],
)
def test_a_mistake_names_the_file_the_key_and_the_remedy(
    tmp_path: Path, file: str, old: str, new: str, message: str
) -> None:
    """Edited as a partner would, one mistake at a time."""
    folder = Path(shutil.copytree(config_dir(), tmp_path / "config"))
    (folder / file).write_text((folder / file).read_text().replace(old, new))
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_config(folder)
    assert str(folder / file) in str(caught.value)


def test_times_that_contradict_each_other_are_said_with_what_would_outlive_what(tmp_path: Path) -> None:
    """All at once; equal times are none."""
    folder = Path(shutil.copytree(config_dir(), tmp_path / "config"))
    text = (folder / "settings.yaml").read_text()
    text = text.replace("pseudonym_days: 730", "pseudonym_days: 30")
    (folder / "settings.yaml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_config(folder)
    assert str(caught.value).split(": ", 1)[1] == (
        "person_days (90) is more than pseudonym_days (30): the name goes with the employee id at the latest;"
        " quarantine_days (90) is more than pseudonym_days (30): a row set aside has the employee id, too;"
        " lower the former or raise the latter; mend the value"
    )
    (folder / "settings.yaml").write_text(text.replace("_days: 90", "_days: 30"))
    assert load_config(folder).settings.privacy.person_days == 30


def test_the_domain_imports_no_airflow_and_light_modules_neither_pandas_nor_great_expectations() -> None:
    """In a fresh interpreter: what an idle run imports."""
    program = (
        "import sys, o2o_registration.audit, o2o_registration.extract, o2o_registration.outbox;"
        "import o2o_registration.checking, o2o_registration.building, o2o_registration.delivery;"
        "print([name for name in ('airflow', 'pandas', 'great_expectations') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(config_dir().parent)},
    )
    assert done.stdout.strip() == "[]"
