"""What the fork server imports once, so that a task's fork begins with its work."""
# ruff: noqa: E402 - Great Expectations reads both settings while it is imported

import logging
import os

os.environ["GX_ANALYTICS_ENABLED"] = "False"
logging.getLogger("great_expectations").setLevel(logging.WARNING)

import airflow.sdk
import alembic.runtime.migration
import alembic.script
import o2o_approval
import o2o_hook
import o2o_operator
import o2o_tasks
import pandas
import psycopg
import sqlalchemy.dialects.postgresql.psycopg
from o2o_registration import actions, audit, building, checking, delivery, extract, outbox, window
from o2o_registration.quality import check

from tests.faults import points

MODULES = (
    airflow.sdk,
    alembic,
    o2o_approval,
    o2o_hook,
    o2o_operator,
    o2o_tasks,
    pandas,
    psycopg,
    sqlalchemy,
    actions,
    audit,
    building,
    check,
    checking,
    delivery,
    extract,
    outbox,
    window,
    points,
)
