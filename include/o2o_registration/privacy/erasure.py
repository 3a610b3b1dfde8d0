"""Erase one person on request, and lift that when the person asks to be registered after all. Both are audited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from o2o_registration import audit, candidates
from o2o_registration.errors import CannotErase, ConfigurationError
from o2o_registration.privacy import pseudonyms, reasons
from o2o_registration.privacy.pseudonyms import PREFIX, Pseudonyms
from o2o_registration.privacy.retention import pseudonymise
from o2o_registration.text import clean, email_key


@dataclass(frozen=True)
class Erased:
    """`shared_with` are other employees whose rows hold the same e-mail address: the same human being, perhaps."""

    done: tuple[str, ...]
    unknown: tuple[str, ...]
    shared_with: tuple[str, ...]

    def __str__(self) -> str:
        """For a log: of those whom nobody named, the number alone."""
        return self._words(
            f"others ({len(self.shared_with):,}): 'python -m o2o_registration erase' with the same ids names them"
        )

    def in_full(self) -> str:
        """For whoever asked."""
        return self._words(f"{', '.join(self.shared_with)}: erase these, too, if that is the same person")

    def _words(self, others: str) -> str:
        parts = [f"erased {len(self.done):,} people"]
        if self.unknown:
            parts.append(f"nothing is held on {', '.join(self.unknown)}")
        if self.shared_with:
            parts.append(f"the same e-mail address is also held for {others}")
        return "; ".join(parts)


def erase(ledger: sa.Engine, key: str | None, employee_ids: Sequence[str], actor: str, why: str) -> Erased:
    """Delete all that is held on these people, and never call them again. All of them, or nobody.

    Raises CannotErase, naming what to do first.
    """
    ids = _named(employee_ids, why)
    keys = pseudonyms.adopt(ledger, key)
    # o2o's words go with the attempts; the facts must be in the audit before
    audit.load(ledger)
    with ledger.begin() as connection:
        pseudonyms.exclude(connection)
        _refuse_under_way(connection, ids, keys)
        held = {one: found for one in ids if (found := _Held.of(connection, keys, one)).anything}
        # before they are gone, and for all at once: each reason is about all of them
        words = reasons.redacted(connection, why, ids)
        for one, found in held.items():
            _erase_one(connection, keys, one, found)
            _audit(connection, keys.person(one), "erased", words, actor)
        others = _shared(connection, sorted({mail for found in held.values() for mail in found.emails}))
    return Erased(tuple(held), tuple(one for one in ids if one not in held), others)


def lift(ledger: sa.Engine, key: str | None, employee_ids: Sequence[str], actor: str, why: str) -> tuple[str, ...]:
    """Let erased people be registered again, from the HR row that a run reads next. Returns whom it concerned."""
    ids = _named(employee_ids, why)
    keys = pseudonyms.adopt(ledger, key)
    lifted = []
    with ledger.begin() as connection:
        pseudonyms.exclude(connection)
        words = reasons.redacted(connection, why, ids)
        for one in ids:
            done = connection.execute(
                sa.text("""
                    update o2o.registration
                    set erased_at = null, status = 'withdrawn', detail = 'the erasure was lifted', updated_at = now()
                    where employee_id = :person and erased_at is not null
                """),
                {"person": keys.person(one)},
            )
            if done.rowcount:
                _audit(connection, keys.person(one), "erasure lifted", words, actor)
                lifted.append(one)
    return tuple(lifted)


def employees_of(ledger: sa.Engine, key: str | None, address: str) -> tuple[str, ...]:
    """Everybody for whom an e-mail address is held: employee ids, keys of rows without one, pseudonyms."""
    keys = pseudonyms.adopt(ledger, key)
    with ledger.connect() as connection:
        return _shared(connection, [keys.email(email_key(address)) or ""])


def _named(employee_ids: Sequence[str], why: str) -> list[str]:
    if not why.strip():
        raise ConfigurationError("This needs a reason: the audit keeps who decided, and why. Fill in 'why'.")
    ids = list(dict.fromkeys(filter(None, map(clean, employee_ids))))
    if not ids:
        raise ConfigurationError("Nobody is named: give employee ids.")
    return ids


_FIRST = {
    "claimed": "is being called right now: try again in a minute",
    "in_doubt": "is in doubt: ask o2o, confirm or release, and erase when that is done",
}


def _refuse_under_way(connection: sa.Connection, ids: list[str], keys: Pseudonyms) -> None:
    rows = connection.execute(
        sa.text("""
            select employee_id, status, exists (
                select from o2o.attempt t where t.employee_id = r.employee_id and t.closed_at is null) as open
            from o2o.registration r where employee_id = any(:ids) order by 1 for update
        """),
        {"ids": [*ids, *map(keys.person, ids)]},
    ).all()
    found = [
        f"{row.employee_id} {_FIRST.get(row.status, _FIRST['claimed'])}"
        for row in rows
        if row.status in _FIRST or row.open
    ]
    if found:
        raise CannotErase(f"Nobody was erased. {'; '.join(found)}.")


@dataclass(frozen=True)
class _Held:
    """What the ledger holds on one person: whether there is a registration, addresses (keyed), anything at all."""

    registered: bool
    emails: frozenset[str]
    anything: bool

    @classmethod
    def of(cls, connection: sa.Connection, keys: Pseudonyms, employee_id: str) -> _Held:
        rows = connection.execute(sa.text(_HELD), {"id": employee_id, "person": keys.person(employee_id)}).all()
        return cls(
            registered=any(row.registered for row in rows),
            emails=frozenset(row.email_key for row in rows if row.email_key),
            anything=bool(rows),
        )


_HELD = """
    select true as registered, email_key from o2o.registration where employee_id in (:id, :person)
    union all
    select false, email_key from o2o.quarantine where source_key = :id or employee_id = :id
    union all
    select false, email_key from o2o.candidate where source_key = :id
    union all
    select false, null where exists (select from o2o.audit where employee_id = :id)
"""


def _erase_one(connection: sa.Connection, keys: Pseudonyms, employee_id: str, held: _Held) -> None:
    whose = {"id": employee_id, "emails": list(held.emails)}
    connection.execute(
        sa.text("""
            delete from o2o.quarantine
            where source_key = :id or employee_id = :id or source_key like 'row:%' and email_key = any(:emails)
        """),
        whose,
    )
    candidates.take_back(connection, "source_key = :id or source_key like 'row:%' and email_key = any(:emails)", whose)
    person = keys.person(employee_id)
    if not held.registered:
        _remember(connection, person, next(iter(sorted(held.emails)), ""))
    pseudonymise(connection, {employee_id: person}, erased=True)


def _remember(connection: sa.Connection, person: str, mail: str) -> None:
    """Somebody who was only set aside is erased, too: a row of theirs that HR still has must not come back."""
    connection.execute(
        sa.text("""
            insert into o2o.registration (employee_id, status, email_key, payload, fingerprint, run_id, forgotten_at)
            values (:person, 'withdrawn', :mail, '{}', '', 'erasure', now())
        """),
        {"person": person, "mail": mail},
    )


def _shared(connection: sa.Connection, emails: list[str]) -> tuple[str, ...]:
    rows: Any = connection.scalars(
        sa.text("""
            select employee_id from o2o.registration where email_key = any(:emails) and erased_at is null
            union select source_key from o2o.quarantine where email_key = any(:emails)
            union select source_key from o2o.candidate where email_key = any(:emails)
            order by 1
        """),
        {"emails": emails},
    )
    return tuple(rows)


def _audit(connection: sa.Connection, person: str, event: str, words: str, actor: str) -> None:
    assert person.startswith(PREFIX)
    connection.execute(
        sa.text("""
            insert into o2o.audit (employee_id, event, detail, actor) values (:person, :event, :words, :actor)
        """),
        {"person": person, "event": event, "words": words, "actor": actor},
    )
