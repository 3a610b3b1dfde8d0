"""`quarantine` -> the batch: rows that deserve another look although HR did not touch them."""

from __future__ import annotations

import json

import sqlalchemy as sa

from o2o_registration import newest
from o2o_registration.config import SOURCE_FIELDS, Mapping
from o2o_registration.window import Run

_UNDER_WAY = "(r.status in ('claimed', 'in_doubt') or r.status in ('pending', 'held') and r.resends > 0)"
_CHANGED = "cast({q}.row ->> 'changed_at' as timestamptz)"
_PARKED = """q.reasons @> '[{"code": "answer_awaited"}]'"""
_AWAITED = [{"code": "answer_awaited", "words": "HR changed the row while a call for this person awaits its answer."}]


def park(connection: sa.Connection, mapping: Mapping, run_id: str) -> None:
    """Set aside rows that HR changed while their person's call is under way or in doubt.

    Should o2o refuse the person in the end, the new row is what is sent next, and by then it may be older than
    any window.
    """
    # what is no verdict, or none that counted, goes with the row that HR has replaced
    connection.execute(
        sa.text(f"""
            delete from o2o.quarantine q
            using incoming i
            where ({_PARKED} or q.rules is null) and q.source_key = i.source_key and not i.outdated
              and coalesce(i.changed_at >= {_CHANGED.format(q="q")}, true)
              and not exists (
                  select from incoming same
                  where same.source_key = q.source_key and same.fingerprint = q.fingerprint and not same.outdated)
        """)  # noqa: S608 - constants of this module
    )
    fields = ", ".join(f"'{name}', i.{name}" for name in (*SOURCE_FIELDS, "changed_at"))
    connection.execute(
        sa.text(f"""
            insert into o2o.quarantine (source_key, fingerprint, employee_id, email_key, row, reasons, rules, run_id)
            select i.source_key, i.fingerprint, i.employee_id, i.email_key, jsonb_build_object({fields}),
                   cast(:reasons as jsonb), :rules, :run_id
            from incoming i join o2o.registration r on r.employee_id = i.source_key
            where i.interested and not i.outdated and i.fingerprint <> r.fingerprint and {_UNDER_WAY}
            on conflict do nothing
        """),  # noqa: S608
        {"reasons": json.dumps(_AWAITED), "rules": mapping.fingerprint, "run_id": run_id},
    )


def stage(connection: sa.Connection, mapping: Mapping, run: Run, read: int) -> None:
    """Add the rows to the batch of `read` rows: the mapping has changed since they failed, the person with the
    same e-mail address is gone, o2o refused the person they waited for, or the run names them."""
    connection.execute(
        sa.text(f"""
            delete from o2o.quarantine q using o2o.registration r
            where {_PARKED} and r.employee_id = q.source_key and r.status in ('created', 'existing')
        """)  # noqa: S608
    )
    wanted = sa.text(_NAMED if run.employee_ids else _STALE)
    parameters = {"ids": list(run.employee_ids)} if run.employee_ids else {"rules": mapping.fingerprint}
    connection.execute(wanted, parameters)
    connection.execute(
        sa.text("""
            update incoming i set recheck = true
            from recheck q where q.source_key = i.source_key and q.fingerprint = i.fingerprint
        """)
    )
    connection.execute(
        sa.text(f"""
            insert into incoming
            select :read + row_number() over (order by q.source_key, q.fingerprint), f.*, true, q.fingerprint,
                   q.email_key, q.source_key, null, true
            from recheck q
            cross join lateral jsonb_to_record(q.row) as f(
                employee_id text, personnel_number text, first_name text, last_name text, email text,
                language text, contract_type text, company text, changed_at timestamptz)
            where not exists (select from incoming i where i.source_key = q.source_key)
              -- of several rows of a person the newest, see newest.choose
              and not exists (
                  select from o2o.quarantine newer
                  where newer.source_key = q.source_key and {_CHANGED.format(q="newer")} <= :latest
                    and {_CHANGED.format(q="newer")} > {_CHANGED.format(q="q")})
        """),  # noqa: S608
        {"read": read, "latest": newest.latest(run)},
    )


_NAMED = """
    create temporary table recheck on commit drop as
    select q.* from o2o.quarantine q
    where q.employee_id = any(:ids) and not q.reasons @> '[{"code": "interest_unclear"}]'
"""
# rules are null where a whole batch was stopped or the run was dry: those rows are read from HR again
_STALE = f"""
    create temporary table recheck on commit drop as
    select q.* from o2o.quarantine q
    where q.rules is not null
      and not q.reasons @> '[{{"code": "interest_unclear"}}]'
      and (q.rules <> :rules
           or q.reasons @> '[{{"code": "changed_at_in_future"}}]'
              and {_CHANGED.format(q="q")} <= now()
           or {_PARKED} and not exists (
                  select from o2o.registration r where r.employee_id = q.source_key and {_UNDER_WAY})
           or (q.reasons @> '[{{"code": "email_shared"}}]' or q.reasons @> '[{{"code": "email_taken"}}]')
              and not exists (
                  select from o2o.registration r
                  where r.email_key = q.email_key and r.employee_id <> q.source_key
                    and r.status not in ('rejected', 'withdrawn'))
              and not exists (
                  select from o2o.quarantine other
                  where other.email_key = q.email_key and other.source_key <> q.source_key))
"""  # noqa: S608
