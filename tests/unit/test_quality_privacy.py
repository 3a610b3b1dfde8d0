"""Whatever HR sends: no crash, one verdict per row, and no value anywhere but in the row."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from o2o_registration.quality import COLUMNS, QualityCheckError, expectations
from o2o_registration.quality.check import check
from o2o_registration.quality.datadocs import write_page
from o2o_registration.quality.suite import build_suite
from o2o_registration.quality.values import describe_email_mistake, is_email, whole
from quality_candidates import GOOD, UNTIL, checked, frame, rules

CODES = {entry.meta["code"] for entry in build_suite(rules()).expectations}
MARK = "Qzx7"
MISTAKES = ["j", '"@', ",@", " @", "a@@", "@", "j@", "j@j", "j@.j", "j@j.test", "j@j.j"]

any_text = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=30),
    st.sampled_from(
        [
            "nan",
            "None",
            "<script>alert(1)</script>",
            "{{ 7*7 }}${x}{detail}{0}%s",
            "'; drop table o2o.registration; --",
            "\ud800\udfff",
            "\u202eevil",
            "\x00",
            "a" * 100_000,
            "é" * 5_000 + "@" + "é" * 5_000 + ".com",
            "=cmd|'/c calc'!A0",
        ]
    ),
)
any_moment = st.one_of(st.none(), st.datetimes().map(lambda moment: pd.Timestamp(moment, tz="UTC").as_unit("us")))
any_count = st.one_of(st.none(), st.integers(0, 3))


def rows_of(text: st.SearchStrategy[str]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Rows with such text, or none, in every text column."""
    fields: dict[str, st.SearchStrategy[Any]] = dict.fromkeys(GOOD, st.none() | text)
    fields |= {"changed_at": any_moment, "rows_with_employee_id": any_count, "people_with_email": any_count}
    return st.lists(st.fixed_dictionaries({}, optional=fields), max_size=10)


@settings(max_examples=15, deadline=None)
@given(rows=rows_of(any_text))
def test_any_rows_get_one_verdict_each(rows: list[dict[str, Any]]) -> None:
    """Never a crash, only known reasons, and a good row passes in any company."""
    result = checked(*rows, {})
    assert result.rows == len(rows) + 1
    assert set(result.failures) <= set(range(len(rows)))
    for reasons in result.failures.values():
        assert {reason.code for reason in reasons} <= CODES
        assert len({reason.code for reason in reasons}) == len(reasons) > 0


marked_text = any_text.map(lambda text: f"{text[:40]}{MARK}{text[40:]}")
QUOTABLE = {"language_unknown", "contract_type_unknown", "company_unknown"}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=rows_of(marked_text))
def test_no_personal_value_leaves_its_row(rows: list[dict[str, Any]], caplog: pytest.LogCaptureFixture) -> None:
    """Neither the document nor Data Docs nor the log nor a reason quotes anybody."""
    caplog.set_level(logging.DEBUG)
    result = checked(*rows, {"email": MARK, "first_name": f"a\u200b{MARK}"})
    with TemporaryDirectory() as folder:
        page = write_page(result.document, "run", Path(folder)).read_text(encoding="utf-8")
    reasons = [reason for reasons in result.failures.values() for reason in reasons]
    words = [reason.words for reason in reasons if reason.code not in QUOTABLE]
    for text in (json.dumps(result.document), page, caplog.text, *words):
        assert MARK.casefold() not in text.casefold()


@settings(max_examples=500, deadline=None)
@given(parts=st.lists(any_text | st.sampled_from(["@", ".", "xn--", ".com", '"', "[", "jane"]), max_size=6))
def test_any_text_is_an_address_or_not(parts: list[str]) -> None:
    """The parser is no place to crash, and what it refuses is explained without a word of it."""
    address = whole("".join(parts))
    if not is_email(address):
        assert describe_email_mistake(address) in {describe_email_mistake(each) for each in MISTAKES}


def test_a_frame_of_nulls_only_has_a_verdict_for_each_row() -> None:
    """Columns without any value come with a type of their own."""
    nulls = pd.DataFrame({column: [None] * 3 for column in COLUMNS} | {"row_no": [5, 6, 7]})
    assert sorted(check(nulls, rules()).failures) == [5, 6, 7]


def test_a_check_that_breaks_quotes_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """An error inside a check stops the run, and neither the error nor the log quotes the row."""

    def breaks(value: str) -> bool:
        raise RuntimeError(value)

    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(expectations.ColumnValuesHaveLetter, "answer", staticmethod(breaks))
    with pytest.raises(QualityCheckError, match="could not evaluate first_name_without_letter") as error:
        checked({"first_name": MARK})
    assert error.value.__cause__ is None
    assert error.value.__context__ is None
    assert MARK not in caplog.text + str(error.value) + "".join(capfd.readouterr())


def test_the_document_is_plain_json_and_small() -> None:
    """It is kept with every run: hundreds of companies do not swell it."""
    many = rules(companies=frozenset(f"company {number}" for number in range(500)))
    document = check(frame({}), many).document
    assert json.loads(json.dumps(document)) == document
    assert len(json.dumps(document)) < 20_000


def test_several_threads_may_check_at_once() -> None:
    """Great Expectations' global context is not shared by accident."""
    results: list[object] = []

    def work(number: int) -> None:
        bad = check(frame(*[{"email": "x"}] * number, {}), rules()).bad_rows
        results.append(bad == number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 4


def test_the_package_is_light_until_there_are_rows_and_never_calls_home(tmp_path: Path) -> None:
    """Importing loads neither pandas nor Great Expectations, and checking opens no connection."""
    program = """
import socket, sys
from pathlib import Path
import o2o_registration.quality
heavy = {"pandas", "great_expectations"} & set(sys.modules)
assert not heavy, heavy

def refuse(*_, **__):
    raise SystemExit("something wants to connect")

socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
socket.getaddrinfo = socket.create_connection = refuse
from quality_candidates import checked
from o2o_registration.quality.datadocs import write_page
write_page(checked({}, {"email": "x"}).document, "run", Path(sys.argv[1]))
import os
assert os.environ["GX_ANALYTICS_ENABLED"] == "False"
"""
    paths = [str(Path(__file__).parent), *filter(None, sys.path)]
    environment = {"PYTHONPATH": ":".join(paths), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [page.name for page in tmp_path.iterdir()] == ["run.html"]


def test_dates_at_the_ends_of_time_are_dates() -> None:
    """Years 1 and 9999 neither overflow nor vanish."""
    first, last = pd.Timestamp("0001-01-01", tz="UTC"), pd.Timestamp("9999-12-31", tz="UTC")
    result = checked({"changed_at": first}, {"changed_at": last}, {"changed_at": UNTIL})
    assert [reason.code for reason in result.failures[1]] == ["changed_at_in_future"]
    assert set(result.failures) == {1}
