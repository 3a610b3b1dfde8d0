"""The Data Docs page of a run."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from o2o_registration.quality import merge, page_name
from o2o_registration.quality.check import check
from o2o_registration.quality.datadocs import write_page
from quality_candidates import checked, frame, rules


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_data(self, data: str) -> None:
        self.seen.append(data)


def text_of(page: Path) -> str:
    """What a reader sees, in one line."""
    parser = _Text()
    parser.feed(page.read_text(encoding="utf-8"))
    return re.sub(r"\s+", " ", " ".join(parser.seen))


def test_the_page_says_what_was_checked_and_how_it_went(tmp_path: Path) -> None:
    """Rows, bad rows, each check in words with its share, and findings about the batch."""
    result = checked({"email": "x"}, {}, {}, {}, expected_volume_max=3)
    text = text_of(write_page(result.document, "run-1", tmp_path))
    assert "Quality of run-1" in text
    assert "4 rows checked, 1 of them bad" in text
    assert (
        "The e-mail address is one that mail could be sent to. 1 unexpected values found. 25% of 4 total rows." in text
    )
    assert "The batch has 4 rows, more than the expected 3." in text


def test_the_page_stands_alone(tmp_path: Path) -> None:
    """It opens without a network: no script, no style sheet, no link to anywhere."""
    html = write_page(checked({"email": "x"}).document, "run", tmp_path).read_text(encoding="utf-8")
    assert not re.search(r"<script|<link|<img|https?:|href=", html)


def test_the_page_of_merged_chunks_counts_them_together(tmp_path: Path) -> None:
    """A batch in chunks has one page."""
    chunks = [check(frame({"email": "x"}, {}, first_row_no=10 * chunk), rules()) for chunk in range(3)]
    assert "6 rows checked, 3 of them bad" in text_of(write_page(merge(chunks).document, "run", tmp_path))


def test_writing_the_page_leaves_the_document_as_it_is(tmp_path: Path) -> None:
    """It goes on into the ledger."""
    result = checked({"email": "x"})
    write_page(result.document, "run", tmp_path)
    assert result.document == checked({"email": "x"}).document


def test_a_run_id_cannot_bring_markup_into_the_page(tmp_path: Path) -> None:
    """People choose run ids."""
    html = write_page(checked({}).document, "<script>alert(1)</script>", tmp_path).read_text(encoding="utf-8")
    assert "<script" not in html


@settings(max_examples=200)
@given(run_id=st.text(st.characters(exclude_categories=()), max_size=400))
def test_any_run_id_makes_a_file_name_inside_the_folder(run_id: str) -> None:
    """One plain component of at most 255 bytes that no shell, browser or file system misreads."""
    assert re.fullmatch(r"[A-Za-z0-9_+.-]{1,200}\.html", page_name(run_id))
    assert Path("/docs", page_name(run_id)).resolve().parent == Path("/docs")


@pytest.mark.parametrize(
    ("one", "other"),
    [("a:b", "a_b"), ("../../x", "x"), ("", " "), ("a" * 400, "a" * 401), ("\ud800", "\udfff")],
)
def test_different_runs_have_different_pages(one: str, other: str) -> None:
    """What is lost in making a name safe is made up for by a digest."""
    assert page_name(one) != page_name(other)


def test_a_plain_run_id_is_the_name() -> None:
    """So that people find the page."""
    assert page_name("nightly_7") == "nightly_7.html"


def test_the_page_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads during a crash sees the old page, and no half-written file stays."""
    folder = tmp_path / "new" / "folder"
    page = write_page(checked({}).document, "run", folder)
    before = page.read_text(encoding="utf-8")

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        write_page(checked({"email": "x"}).document, "run", folder)
    assert [each.name for each in folder.iterdir()] == ["run.html"]
    assert page.read_text(encoding="utf-8") == before
