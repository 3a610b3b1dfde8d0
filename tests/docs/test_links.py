"""What the manuals point at is there: files, headings, targets of make, modules."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.docs.manual import FENCE, ROOT

TOP = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
PAGES = sorted([*ROOT.glob("*.md"), *(page for top in TOP for page in (ROOT / top).rglob("*.md"))])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower().strip()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def test_there_are_pages() -> None:
    """Else nothing below could fail."""
    assert {"README.md", "docs/runbook.md", "docs/decisions/README.md"} <= set(NAMES)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_each_link_leads_somewhere(page: Path) -> None:
    """To a file of the project, and to a heading in it."""
    for link in _LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_what_code_names_is_there(page: Path) -> None:
    """Paths below a folder of the project, and targets of make."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for code in _CODE.findall(prose(page)):
        if make := re.match(r"make ([a-z-]+)", code):
            assert make[1] in targets, code
        if re.fullmatch(r"[\w./-]+", code) and "/" in code and code.split("/")[0] in TOP:
            assert (ROOT / code).exists(), code


def test_each_module_has_a_line_in_contributing_and_no_other_has() -> None:
    """A newcomer guesses no file's content."""
    tables = (ROOT / "CONTRIBUTING.md").read_text().split("### The way of a row")[1]
    rows = re.findall(r"^\| `([^`]+)`", tables, re.MULTILINE)
    domain = ROOT / "include" / "o2o_registration"
    files = [*domain.glob("*.py"), *(ROOT / "plugins").glob("*.py")]
    modules = {file.stem for file in files if file.name != "__init__.py"}
    packages = {f"{file.parent.name}/" for file in domain.glob("*/__init__.py")}
    assert Counter(rows) == Counter(modules | packages)
