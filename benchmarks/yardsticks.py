"""The least that could be done: rows copied into the same tables, and the same checks in bare pandas."""

from __future__ import annotations

from typing import Any

import psycopg
import sqlalchemy as sa

SOURCE = "employee_id, personnel_number, first_name, last_name, work_email, language_code, contract_type, company_code"


def copy_candidates(url: str) -> None:
    """HR's rows by COPY into a table like `candidate`, with its indexes."""
    _copy(
        url,
        "candidate",
        "run_id, row_no, employee_id, personnel_number, first_name, last_name, email, language, contract_type, company,"
        " changed_at, fingerprint, email_key, source_key",
        f"""select 'copy', row_number() over (), {SOURCE}, changed_at, md5(work_email), md5(work_email), employee_id
            from hr.employee""",
    )


def copy_registrations(url: str) -> None:
    """The payloads by COPY into a table like `registration`, with its indexes."""
    columns = "employee_id, status, email_key, payload, fingerprint, run_id"
    _copy(url, "registration", columns, f"select {columns} from o2o.registration")


def _copy(url: str, table: str, columns: str, query: str) -> None:
    """Through this process, as the pipeline's rows go."""
    with psycopg.connect(_plain(url)) as source, psycopg.connect(_plain(url)) as target:
        target.execute(f"create table o2o.copied_{table} (like o2o.{table} including all)")
        with (
            source.cursor().copy(f"copy ({query}) to stdout") as rows,
            target.cursor().copy(f"copy o2o.copied_{table} ({columns}) from stdin") as copy,
        ):
            for row in rows:
                copy.write(row)


def bare_pandas(url: str) -> None:
    """Every check of the suite as a vectorised mask or a function mapped over the column, on one frame."""
    import pandas as pd
    from o2o_registration.config import load_config
    from o2o_registration.quality.values import has_letter, is_email, is_printable

    mapping = load_config().mapping
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        frame = pd.read_sql(sa.text(f"select {SOURCE}, changed_at from hr.employee"), connection)
    engine.dispose()
    bad: list[Any] = []
    for column in ("employee_id", "first_name", "last_name", "work_email", "language_code", "company_code"):
        bad.append(frame[column].isna() | (frame[column].str.strip() == ""))
    for column, longest in (("employee_id", 64), ("personnel_number", 64), ("first_name", 150), ("last_name", 150)):
        bad.append(frame[column].str.len() > longest)
        bad.append(~frame[column].map(is_printable, na_action="ignore").astype(bool))
    for column in ("first_name", "last_name"):
        bad.append(~frame[column].map(has_letter, na_action="ignore").astype(bool))
    bad.append(frame["work_email"].str.len() > 254)
    bad.append(~frame["work_email"].map(is_email, na_action="ignore").astype(bool))
    bad.append(frame["work_email"].str.lower().duplicated(keep=False))
    bad.append(frame["employee_id"].duplicated(keep=False))
    for column, known in (
        ("language_code", mapping.languages),
        ("contract_type", mapping.contract_types),
        ("company_code", mapping.bike_plans),
    ):
        bad.append(~frame[column].str.strip().str.lower().isin({key.lower() for key in known}))
    bad.append(frame["changed_at"].isna() | (frame["changed_at"] > pd.Timestamp.now("UTC")))
    verdict = pd.concat(bad, axis=1).any(axis=1)
    if verdict.any():
        raise SystemExit(f"bare pandas finds {int(verdict.sum())} bad rows where there are none")


def _plain(url: str) -> str:
    return sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
