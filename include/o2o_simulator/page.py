"""The mailbox as a page for people: plain HTML, no script, nothing loaded from anywhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import urlencode

from o2o_simulator.records import Mail, Subject, Summary

PAGE_SIZE = 50

_CSS = """
:root { color-scheme: light dark; --paper: #f6f7f9; --card: #fff; --ink: #1b1f24; --soft: #5a6472;
  --line: #d9dee5; --link: #0b57b0; --good: #1a7f42; --bad: #c62828; --bad-paper: #fdecea; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #14171b; --card: #1d2127; --ink: #e8ebef; --soft: #a2acb9; --line: #343b45;
  --link: #7db4ff; --good: #5fd08a; --bad: #ff8a80; --bad-paper: #3b1d1c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 72rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.5rem; }
a { color: var(--link); }
.soft { color: var(--soft); margin: .25rem 0 1.25rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; padding: 0;
  margin: 0 0 1.25rem; list-style: none; }
.cards li { padding: .75rem 1rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem; }
.cards b { display: block; font-size: 1.75rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.cards .good b { color: var(--good); }
.cards .bad { background: var(--bad-paper); border-color: var(--bad); }
.cards .bad, .cards .bad a { color: var(--bad); }
.faults { padding: .5rem 1rem; margin-bottom: 1.25rem; border-left: .25rem solid var(--bad);
  background: var(--card); }
.faults ul { margin: 0; padding-left: 1.25rem; overflow-wrap: anywhere; }
form { display: flex; flex-wrap: wrap; gap: .5rem .75rem; align-items: last baseline; margin-bottom: 1rem; }
label { flex: 1 1 16rem; color: var(--soft); }
input, button { width: 100%; padding: .5rem .75rem; font: inherit; color: var(--ink); background: var(--card);
  border: 1px solid var(--soft); border-radius: .375rem; }
button { width: auto; cursor: pointer; }
table { width: 100%; border-collapse: collapse; background: var(--card); border: 1px solid var(--line); }
th, td { padding: .5rem .75rem; text-align: left; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
td:nth-child(1), td:nth-child(5) { white-space: nowrap; font-variant-numeric: tabular-nums; }
.failed { color: var(--bad); }
.empty { padding: 2rem 1rem; text-align: center; background: var(--card); border: 1px dashed var(--line); }
nav { display: flex; gap: 1rem; justify-content: space-between; margin-top: 1rem; }
@media (max-width: 40rem) {
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  td { display: grid; grid-template-columns: 6.5rem 1fr; gap: .5rem; padding: .125rem .75rem; border: 0; }
  td::before { content: attr(data-name); color: var(--soft); }
}
"""


@dataclass(frozen=True, slots=True)
class View:
    """One page of mails, latest first, out of `found`; pages count from 1."""

    mails: Sequence[Mail]
    found: int
    page: int
    pages: int
    text: str
    only_repeats: bool


def matching(mails: Sequence[Mail], text: str) -> Sequence[Mail]:
    """The mails whose address or employee id contains the text, in any case."""
    if not text:
        return mails
    wanted = text.lower()
    return [mail for mail in mails if wanted in mail.to.lower() or wanted in (mail.employee_id or "").lower()]


def view_of(found: Sequence[Mail], text: str, only_repeats: bool, page: str) -> View:
    """The wanted page of the mails that were found, or the nearest one there is."""
    pages = max(1, -(-len(found) // PAGE_SIZE))
    number = int(page) if page.isascii() and page.isdigit() and len(page) < 10 else 1
    number = min(max(number, 1), pages)
    end = len(found) - (number - 1) * PAGE_SIZE
    latest_first = found[max(0, end - PAGE_SIZE) : end][::-1]
    return View(latest_first, len(found), number, pages, text, only_repeats)


def render(summary: Summary, faults: Sequence[dict[str, object]], view: View) -> str:
    """The whole page."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>o2o simulator: mailbox</title>
<link rel="icon" href="data:,">
<style>{_CSS}</style>
</head>
<body>
<header>
<h1>o2o simulator: mailbox</h1>
<p class="soft">The e-mails that o2o would have sent. None of them left this machine.</p>
</header>
<main>
{_cards(summary)}
{_faults(faults)}
{_form(view)}
{_table(view)}
{_pager(view)}
</main>
</body>
</html>
"""


def _cards(summary: Summary) -> str:
    cards = [_card(summary.calls, "calls"), _card(summary.people, "people with an account")]
    cards += [_card(summary.mails_by_subject[subject.value], f"“{subject.value}”") for subject in Subject]
    twice = summary.people_mailed_more_than_once
    label = "person mailed more than once" if twice == 1 else "people mailed more than once"
    cards.append(_card(twice, f'<a href="/?only=repeats">{label}</a>', "bad") if twice else _card(twice, label, "good"))
    return f'<ul class="cards">{"".join(cards)}</ul>'


def _card(count: int, label_html: str, look: str = "plain") -> str:
    return f'<li class="{look}"><b>{count:,}</b>{label_html}</li>'


def _faults(faults: Sequence[dict[str, object]]) -> str:
    if not faults:
        return ""
    listed = "".join(f"<li>{escape(_described(fault))}</li>" for fault in faults)
    return f'<section class="faults"><strong>Active faults</strong><ul>{listed}</ul></section>'


def _described(fault: dict[str, object]) -> str:
    """The fault in a line, without the options that say nothing."""
    said = {name: value for name, value in fault.items() if name != "kind" and value not in (None, {})}
    options = ", ".join(f"{name} {json.dumps(value, ensure_ascii=False)}" for name, value in said.items())
    return f"{fault['kind']}: {options}"


def _form(view: View) -> str:
    repeats = '<input type="hidden" name="only" value="repeats">' if view.only_repeats else ""
    everything = '<a href="/">Show all</a>' if view.text or view.only_repeats else ""
    return f"""<form method="get" action="/" role="search">
<label>E-mail address or employee id, or a part of it
<input type="search" name="q" value="{escape(view.text)}" autocomplete="off"></label>
{repeats}<button>Search</button> {everything}
</form>"""


def _table(view: View) -> str:
    if not view.mails:
        return f'<p class="empty">{_nothing(view)}</p>'
    rows = "\n".join(_row(mail) for mail in view.mails)
    what = "E-mails to people who had one before" if view.only_repeats else "E-mails"
    return f"""<p class="soft">{what}: {view.found:,}, latest first</p>
<table>
<thead><tr><th>Sent (UTC)</th><th>To</th><th>Subject</th><th>Employee id</th><th>Call</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>"""


def _nothing(view: View) -> str:
    if view.text:
        return f"No e-mail to “{escape(view.text)}”."
    return "Nobody was mailed more than once." if view.only_repeats else "No e-mail yet."


def _row(mail: Mail) -> str:
    failed = ' class="failed"' if mail.subject is Subject.FAILED else ""
    return (
        f'<tr><td data-name="Sent (UTC)">{mail.at:%Y-%m-%d %H:%M:%S}</td>'
        f'<td data-name="To">{escape(mail.to)}</td>'
        f'<td data-name="Subject"><span{failed}>{escape(mail.subject.value)}</span></td>'
        f'<td data-name="Employee id">{escape(mail.employee_id or "none")}</td>'
        f'<td data-name="Call">{mail.call}</td></tr>'
    )


def _pager(view: View) -> str:
    if view.pages == 1:
        return ""
    newer = f'<a rel="prev" href="{_link(view, view.page - 1)}">Newer</a>' if view.page > 1 else "<span></span>"
    older = (
        f'<a rel="next" href="{_link(view, view.page + 1)}">Older</a>' if view.page < view.pages else "<span></span>"
    )
    return f'<nav aria-label="Pages">{newer}<span>page {view.page:,} of {view.pages:,}</span>{older}</nav>'


def _link(view: View, page: int) -> str:
    query = {"page": str(page)}
    if view.text:
        query["q"] = view.text
    if view.only_repeats:
        query["only"] = "repeats"
    return escape("/?" + urlencode(query))
