"""What happened to employee 4711: find a person, and tell the way of their rows and calls in plain words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from o2o_registration.desk.overview import moment
from o2o_registration.privacy import pseudonyms
from o2o_registration.text import clean, email_key

MATCHES = 20


@dataclass(frozen=True)
class Event:
    """One line of a timeline; `at` UTC."""

    at: str | None
    what: str
    words: str
    run_id: str | None
    actor: str


@dataclass(frozen=True)
class Person:
    """`details` are the personal data that the ledger holds; `sentence` is where they stand."""

    employee_id: str
    status: str
    sentence: str
    details: dict[str, str]
    reasons: list[str]
    events: list[Event]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def find(ledger: sa.Engine, query: str, key: str | None = None) -> list[str]:
    """Employee ids (or keys of rows without one, or pseudonyms) by id, personnel number or e-mail address, exactly.

    Raises ConfigurationError where the ledger needs a key for pseudonyms and `key` is none or another.
    """
    with ledger.connect() as connection:
        keys = pseudonyms.proved(connection, key)
        mail = email_key(query)
        rows = connection.scalars(
            sa.text("""
                select employee_id from o2o.registration where employee_id in (:text, :pseudonym)
                union select source_key from o2o.quarantine where source_key = :text
                union select employee_id from o2o.registration
                      where left(payload -> 'user' ->> 'PersonnelNumber', 100) = left(:text, 100)
                union select source_key from o2o.quarantine
                      where left("row" ->> 'personnel_number', 100) = left(:text, 100)
                union select employee_id from o2o.registration where email_key = :email
                union select source_key from o2o.quarantine where email_key = :email
                order by 1 limit :most
            """),
            {
                "text": clean(query),
                "pseudonym": keys and keys.person(clean(query)),
                "email": keys.email(mail) if keys else mail,
                "most": MATCHES,
            },
        )
        return list(rows)


def person(ledger: sa.Engine, employee_id: str) -> Person | None:
    """Everything about one person; None when the ledger does not know them."""
    with ledger.connect() as connection:
        row = connection.execute(
            sa.text("""
                select employee_id, status, payload -> 'user' as details, detail, not_before, held_by, resends,
                       created_at, updated_at, run_id, not_before > now() as later, forgotten_at, erased_at
                from o2o.registration where employee_id = :id
            """),
            {"id": employee_id},
        ).one_or_none()
        aside = connection.execute(
            sa.text("""
                select "row" as details, reasons, quarantined_at, run_id from o2o.quarantine
                where source_key = :id order by quarantined_at
            """),
            {"id": employee_id},
        ).all()
        if row is None and not aside:
            return None
        events = [*_source(row, aside), *_calls(connection, employee_id)]
    reasons = [reason["words"] for one in aside for reason in one.reasons]
    details = row.details if row is not None else aside[-1].details
    return Person(
        employee_id,
        row.status if row is not None else "quarantined",
        _sentence(row, aside, reasons) + _forgotten(row),
        {name: str(value) for name, value in (details or {}).items() if value and name != "changed_at"},
        reasons,
        sorted(events, key=lambda event: event.at or ""),
    )


def _source(row: Any, aside: Any) -> list[Event]:
    found = []
    if row is not None:
        found.append(Event(moment(row.created_at), "checked", "The HR row passed the checks.", row.run_id, "pipeline"))
    for one in aside:
        words = " ".join(reason["words"] for reason in one.reasons)
        found.append(Event(moment(one.quarantined_at), "set aside", words, one.run_id, "pipeline"))
    return found


def _calls(connection: sa.Connection, employee_id: str) -> list[Event]:
    """Calls as they began, and the audit's rows."""
    rows = connection.execute(
        sa.text("""
            select started_at, 'call', case when kind = 'resend' then 'Called again out of doubt.'
                                            else 'Called o2o.' end, run_id, 'pipeline'
            from o2o.attempt where employee_id = :id
            union all
            select at, event, coalesce(detail, ''), run_id, actor from o2o.audit where employee_id = :id
            order by 1
        """),
        {"id": employee_id},
    )
    return [Event(moment(at), what, words, run_id, actor) for at, what, words, run_id, actor in rows]


_SENTENCES = {
    "pending": "Will be sent to o2o by the next run.",
    "held": "Waits until somebody approves ({detail}).",
    "claimed": "Is being sent to o2o right now.",
    "created": "Registered with o2o on {when} and invited by e-mail.",
    "existing": "Known to o2o since before or by {when}; nothing more will be sent.",
    "rejected": "Refused by o2o on {when}: {detail}. Will be sent again when HR changes the row.",
    "withdrawn": "Not sent: {detail}.",
}


def _sentence(row: Any, aside: Any, reasons: list[str]) -> str:
    if row is None:
        return (
            f"Set aside on {_day(aside[-1].quarantined_at)}: {' '.join(reasons)} Will be looked at when HR changes it."
        )
    if row.status == "in_doubt":
        first = f"o2o was called on {_day(row.updated_at)} and its answer is not known ({row.detail})."
        if row.resends:
            return f"{first} The call was repeated already: somebody has to confirm or release."
        return f"{first} Will be called once more, unless the policy says that a person decides."
    if row.status == "pending" and row.later:
        return f"Will be sent to o2o after {_day(row.not_before)}."
    return _SENTENCES[row.status].format(when=_day(row.updated_at), detail=row.detail or "no reason given")


def _forgotten(row: Any) -> str:
    if row is None or row.forgotten_at is None:
        return ""
    if row.erased_at is not None:
        return f" Erased on request on {_day(row.erased_at)}, and never sent (again)."
    words = " A refused person can be sent again by naming them in a run." if row.status == "rejected" else ""
    return f" Name and address were deleted on {_day(row.forgotten_at)}.{words}"


def _day(value: datetime) -> str:
    return f"{value:%d %B %Y %H:%M} UTC".lstrip("0")
