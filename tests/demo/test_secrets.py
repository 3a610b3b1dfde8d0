"""The made-up passwords: kept as they are, completed when the demo learns new ones, never lost in silence."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from demo.errors import DemoError
from demo.layout import Layout, Secrets


def test_secrets_are_made_up_once_and_kept_from_others(layout: Layout) -> None:
    """A second start finds its databases again; nobody else can read the file, and no representation shows one."""
    first = Secrets.load(layout.secrets_file)
    assert Secrets.load(layout.secrets_file) == first
    assert layout.secrets_file.stat().st_mode & 0o777 == 0o600
    assert first.postgres_password not in repr(first)
    assert [path.name for path in layout.run_dir.iterdir()] == ["secrets.json"]


def test_a_secret_that_the_file_lacks_is_added_and_the_others_stay(layout: Layout) -> None:
    """A directory of an older version."""
    layout.run_dir.mkdir()
    layout.secrets_file.write_text(json.dumps({"postgres_password": "kept"}))
    loaded = Secrets.load(layout.secrets_file)
    assert loaded.postgres_password == "kept"
    assert json.loads(layout.secrets_file.read_text()) == asdict(loaded)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '"text"', "5", '{"postgres_password": null}', '{"postgres_password": ["x"]}', "\udcff"],
)
def test_a_broken_file_is_an_error_that_names_it_and_stays_as_it_is(layout: Layout, content: str) -> None:
    """New passwords in its place would lock everybody out of the databases."""
    layout.run_dir.mkdir()
    layout.secrets_file.write_text(content, errors="surrogateescape")
    before = layout.secrets_file.read_bytes()
    with pytest.raises(DemoError, match=r"secrets.json cannot be read .*`make clean` starts anew"):
        Secrets.load(layout.secrets_file)
    assert layout.secrets_file.read_bytes() == before
