"""The daily maintenance: deletes what is no longer needed, in small transactions, beside whatever runs."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from o2o_registration.privacy import pseudonyms
from o2o_registration.privacy.pseudonyms import Pseudonyms
from o2o_registration.progress import Progress
from o2o_registration.settings import PrivacySettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One kind of data: `due` says which rows `t` of `table` are too old, `change` forgets those with the given keys.

    `alone`: while no run reads, checks or builds.
    """

    what: str
    table: str
    key: str
    days: Callable[[PrivacySettings], int]
    due: str
    change: Callable[[sa.Connection, Pseudonyms, list[Any]], None]
    alone: bool = False


_SETTLED = """
    t.status in ('created', 'existing', 'rejected', 'withdrawn') and t.updated_at < now() - make_interval(days => :days)
    and not exists (select from o2o.attempt a where a.employee_id = t.employee_id
                    and (a.closed_at is null or not a.audited))
"""


def _forget_people(connection: sa.Connection, _: Pseudonyms, ids: list[str]) -> None:
    connection.execute(
        sa.text("""
            update o2o.registration set payload = '{}', forgotten_at = now() where employee_id = any(:ids)
        """),
        {"ids": ids},
    )


def _forget_answers(connection: sa.Connection, _: Pseudonyms, ids: list[int]) -> None:
    connection.execute(sa.text("update o2o.attempt set response = null where id = any(:ids)"), {"ids": ids})


def _forget_set_aside(connection: sa.Connection, keys: Pseudonyms, source_keys: list[str]) -> None:
    """That somebody was set aside, and why, stays in the audit."""
    deleted = connection.execute(
        sa.text("""
            delete from o2o.quarantine where source_key = any(:source_keys)
            returning source_key, run_id, jsonb_path_query_array(reasons, '$[*].code') as codes
        """),
        {"source_keys": source_keys},
    ).all()
    rows = [
        {"run_id": row.run_id, "person": keys.person(row.source_key), "codes": ", ".join(row.codes)} for row in deleted
    ]
    connection.execute(
        sa.text("""
            insert into o2o.audit (run_id, employee_id, event, detail)
            values (:run_id, :person, 'set aside and forgotten', :codes)
        """),
        rows,
    )


def _forget_unfinished(connection: sa.Connection, _: Pseudonyms, run_ids: list[str]) -> None:
    connection.execute(sa.text("delete from o2o.candidate where run_id = any(:ids)"), {"ids": run_ids})


def _pseudonymise(connection: sa.Connection, keys: Pseudonyms, ids: list[str]) -> None:
    pseudonymise(connection, {one: keys.person(one) for one in ids})


JOBS = (
    Job(
        "names, addresses, payloads",
        "registration",
        "employee_id",
        lambda settings: settings.person_days,
        f"t.forgotten_at is null and {_SETTLED}",
        _forget_people,
    ),
    Job(
        "answers of o2o",
        "attempt",
        "id",
        lambda settings: settings.answer_days,
        """
        t.response is not null and t.audited and t.closed_at < now() - make_interval(days => :days)
        and not exists (select from o2o.registration r where r.employee_id = t.employee_id
                        and r.status in ('pending', 'held', 'claimed', 'in_doubt'))
        """,
        _forget_answers,
    ),
    Job(
        # all rows of a person together, since one speaks for the other
        "people set aside",
        "quarantine",
        "source_key",
        lambda settings: settings.quarantine_days,
        """
        not exists (select from o2o.quarantine q left join o2o.run_summary s on s.run_id = q.run_id
                    where q.source_key = t.source_key
                      and greatest(q.quarantined_at, s.started_at) >= now() - make_interval(days => :days))
        and not exists (select from o2o.registration r where r.employee_id = t.source_key
                        and r.status in ('pending', 'held', 'claimed', 'in_doubt'))
        """,
        _forget_set_aside,
        alone=True,
    ),
    Job(
        "runs that broke off",
        "run_summary",
        "run_id",
        lambda settings: settings.unfinished_days,
        """
        t.started_at < now() - make_interval(days => :days)
        and exists (select from o2o.candidate c where c.run_id = t.run_id)
        """,
        _forget_unfinished,
    ),
    Job(
        "people put under a pseudonym",
        "registration",
        "employee_id",
        lambda settings: settings.pseudonym_days,
        f"""
        t.employee_id not like 'pseudonym:%' and {_SETTLED}
        and not exists (select from o2o.quarantine q where q.source_key = t.employee_id)
        and not exists (select from o2o.candidate c where c.source_key = t.employee_id)
        """,  # noqa: S608 - a constant
        _pseudonymise,
        alone=True,
    ),
)


def forget(
    ledger: sa.Engine, settings: PrivacySettings, key: str | None, run_id: str, dry_run: bool = False
) -> dict[str, int]:
    """Carry out every job. Returns what was forgotten, or would be. Safe to repeat and to break off."""
    if dry_run:
        pseudonyms.made(key)
        return {job.what: _due(ledger, job, settings) for job in JOBS}
    keys = pseudonyms.adopt(ledger, key)
    counts = {job.what: _carry_out(ledger, job, settings, keys) for job in JOBS}
    with ledger.begin() as connection:
        connection.execute(
            sa.text("insert into o2o.maintenance (run_id, counts) values (:run_id, cast(:counts as jsonb))"),
            {"run_id": run_id, "counts": json.dumps(counts)},
        )
    return counts


def _due(ledger: sa.Engine, job: Job, settings: PrivacySettings) -> int:
    sql = f"select count(distinct t.{job.key}) from o2o.{job.table} t where {job.due}"  # noqa: S608 - constants
    with ledger.connect() as connection:
        return connection.scalar(sa.text(sql), {"days": job.days(settings)}) or 0


def _carry_out(ledger: sa.Engine, job: Job, settings: PrivacySettings, keys: Pseudonyms) -> int:
    progress = Progress(log, f"Forgetting {job.what}")
    after = None
    while True:
        with ledger.begin() as connection:
            if job.alone:
                pseudonyms.exclude(connection)
            found = list(connection.scalars(_batch(job, after), _parameters(job, settings, after)))
            if not found:
                return progress.done
            due = list(dict.fromkeys(found))
            job.change(connection, keys, due)
        progress.add(len(due))
        after = due[-1]


def _batch(job: Job, after: Any) -> sa.TextClause:
    """A row that somebody works on is left for tomorrow."""
    beyond = "" if after is None else f"t.{job.key} > :after and"
    return sa.text(f"""
        select t.{job.key} from o2o.{job.table} t where {beyond} {job.due}
        order by t.{job.key} limit :rows for update of t skip locked
    """)  # noqa: S608 - constants of this module


def _parameters(job: Job, settings: PrivacySettings, after: Any) -> dict[str, Any]:
    parameters = {"days": job.days(settings), "rows": settings.batch_rows}
    return parameters if after is None else {**parameters, "after": after}


def pseudonymise(connection: sa.Connection, people: dict[str, str], erased: bool = False) -> None:
    """Put pseudonyms in the place of employee ids, in every table that keeps facts; whoever waited is withdrawn.

    The only function that changes rows of the audit, within what the audit's trigger allows: `employee_id` once,
    and `detail`, which may be o2o's own words, to nothing. The caller keeps the runs away.
    """
    for statement in _PSEUDONYMISE:
        connection.execute(
            sa.text(f"{_PERSON} {statement}"),
            {
                "ids": list(people),
                "names": list(people.values()),
                **({"erased": erased} if ":erased" in statement else {}),
            },
        )


_PERSON = "with person as (select * from unnest(cast(:ids as text[]), cast(:names as text[])) as p(id, name))"
_PSEUDONYMISE = (
    """
    update o2o.registration r
    set employee_id = person.name, payload = '{}', held_by = null, detail = null,
        status = case when status in ('pending', 'held') then 'withdrawn' else status end,
        forgotten_at = coalesce(forgotten_at, now()), erased_at = case when :erased then now() else erased_at end
    from person where r.employee_id = person.id or r.employee_id = person.name
    """,
    """
    update o2o.attempt t set employee_id = person.name, response = null, detail = null
    from person where t.employee_id = person.id
    """,
    """
    update o2o.audit a
    set employee_id = person.name,
        detail = case when detail like '(repeated out of doubt)%' then '(repeated out of doubt)' end
    from person where a.employee_id = person.id
    """,
)


def forget_pages(folder: Path, days: int, dry_run: bool = False) -> int:
    """Delete Data Docs pages, finished or not, that are older. Returns how many."""
    oldest = time.time() - days * 86_400
    pages = [*folder.glob("*.html"), *folder.glob(".*.tmp")]
    old = [page for page in pages if page.is_file() and page.stat().st_mtime < oldest]
    if not dry_run:
        for page in old:
            page.unlink(missing_ok=True)
    return len(old)
