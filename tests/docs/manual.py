"""What the manuals tell a reader to type: shell commands and SQL, from fenced blocks and from inline code."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
DRAWING = "─"
_INLINE = re.compile(r"`([^`\n]+)`")
_TYPED = re.compile(r"(make|python|airflow|pg_dump|pg_restore|select|update|insert|delete) \S")
_SQL = re.compile(r"(select|update|insert|delete|with) ", re.IGNORECASE)


@dataclass(frozen=True)
class Typed:
    """One command line or one SQL statement."""

    text: str
    place: str
    inline: bool = False

    @property
    def is_sql(self) -> bool:
        return bool(_SQL.match(self.text))

    @property
    def words(self) -> list[str]:
        return self.text.split()


def typed(*files: str) -> list[Typed]:
    """All of these files, each text once."""
    found: dict[str, Typed] = {}
    for file in files:
        for one in _of(file):
            found.setdefault(one.text, one)
    return list(found.values())


def _of(file: str) -> list[Typed]:
    text = (ROOT / file).read_text()
    found = []
    for indent, language, block in FENCE.findall(text):
        if DRAWING in block or language not in ("", "sql"):
            continue
        lines = [line.removeprefix(indent).rstrip() for line in block.splitlines()]
        if language == "sql":
            statements = "\n".join(line for line in lines if not line.startswith("--")).split(";")
            found += [Typed(one.strip(), file) for one in statements if one.strip()]
        else:
            found += [Typed(re.sub(r" +# .*", "", line), file) for line in lines if line]
    found += [Typed(one, file, inline=True) for one in _INLINE.findall(FENCE.sub("", text)) if _TYPED.match(one)]
    return found


def environment(**values: str) -> dict[str, str]:
    """As README's env.sh has it, with nothing of ours."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "O2O", "PYTH", "MAKE", "MFLAGS"))
    }
    binaries = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{inherited.get('PATH', '')}"
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("include", "plugins"))
    return {**inherited, "PATH": binaries, "PYTHONPATH": paths, **values}
