"""The page's application: nothing without a log-in, acting only for who may trigger the DAG, no person in a URL."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import sqlalchemy as sa
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.base_auth_manager import ResourceMethod
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.models.dag import DagModel
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from o2o_connections import ledger_engine, privacy_key
from o2o_registration import actions
from o2o_registration import ledger as ledgers
from o2o_registration.actions import Action, Order
from o2o_registration.clients import Client, dag_id, data_docs, names
from o2o_registration.config import Config, load_config
from o2o_registration.desk import overview, people, worklists
from o2o_registration.desk.masking import masked
from o2o_registration.errors import O2OError
from pydantic import BaseModel, Field

STATIC = Path(__file__).parent / "o2o_page_static"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'self'; form-action 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def chosen(client: str | None = None) -> str:
    """Whose people the request is about. Nobody's by default where there are several."""
    known = names()
    if client is None and len(known) == 1:
        return known[0]
    if client not in known:
        raise HTTPException(404, "There is no such client.")
    return str(client)


Chosen = Annotated[str, Depends(chosen)]


def _may_read(request: Request, name: Chosen, user: GetUserDep) -> None:
    requires_access_dag("GET", DagAccessEntity.RUN, dag_id(name))(request, user)


def _may_act(request: Request, name: Chosen, user: GetUserDep) -> None:
    requires_access_dag("POST", DagAccessEntity.RUN, dag_id(name))(request, user)


def _may(method: ResourceMethod, name: str, user: BaseUser) -> bool:
    details = DagDetails(id=dag_id(name), team_name=DagModel.get_team_name(dag_id(name)))
    return bool(
        get_auth_manager().is_authorized_dag(
            method=method, access_entity=DagAccessEntity.RUN, details=details, user=user
        )
    )


def readable(user: GetUserDep) -> list[str]:
    """The clients whose runs the user may read; 403 for somebody who may read none."""
    found = [name for name in names() if _may("GET", name, user)]
    if not found:
        raise HTTPException(403, "Forbidden")
    return found


Readable = Annotated[list[str], Depends(readable)]


def _from_this_page(x_o2o: Annotated[str | None, Header()] = None) -> None:
    """A header that a form or an image of another site cannot send: the cookie alone proves no intention."""
    if x_o2o is None:
        raise HTTPException(403, "This request did not come from the page.")


class Query(BaseModel):
    """What somebody typed; in the body, so that it gets into no URL and no access log."""

    text: Annotated[str, Field(min_length=1, max_length=320)]


class ListQuery(BaseModel):
    name: worklists.ListName
    reason: Annotated[str, Field(max_length=400)] | None = None
    after: Annotated[list[str], Field(min_length=2, max_length=2)] | None = None
    sort: worklists.SortName = "since"
    descending: bool = False


class Decision(BaseModel):
    """`employee_ids` must be named: whoever acts has seen whom it concerns."""

    action: Action
    employee_ids: Annotated[list[Annotated[str, Field(max_length=80)]], Field(min_length=1, max_length=1000)]
    why: Annotated[str, Field(max_length=500)]


def create_app() -> FastAPI:
    """One application per api-server process."""
    app = FastAPI(dependencies=[Depends(readable)], docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.get("/")(index)
    app.get("/api/clients")(read_clients)
    # what follows is about one client's people, and asks for the rights on that client's DAG
    app.get("/api/overview", dependencies=[Depends(_may_read)])(read_overview)
    app.get("/api/docs", dependencies=[Depends(_may_read)])(read_docs)
    post = partial(app.post, dependencies=[Depends(_may_read), Depends(_from_this_page)])
    for path, function in (("person", read_person), ("worklist", read_worklist), ("worklist.csv", download)):
        post(f"/api/{path}")(function)
    app.post("/api/act", dependencies=[Depends(_from_this_page), Depends(_may_act)])(act)
    app.middleware("http")(_harden)
    app.exception_handler(HTTPException)(_log_in_first)
    app.exception_handler(O2OError)(_explain)
    app.exception_handler(sa.exc.DBAPIError)(_database)
    return app


async def _log_in_first(request: Request, error: HTTPException) -> Response:
    """Who opens the page by a link is asked to log in and brought back; the page's own calls get their 401."""
    if error.status_code == 401 and "text/html" in request.headers.get("accept", ""):
        back = urlencode({"next": f"{request.url.path}?{request.url.query}".rstrip("?")})
        return RedirectResponse(f"{get_auth_manager().get_url_login()}?{back}", 303)
    return await http_exception_handler(request, error)


async def _harden(request: Request, call_next: Any) -> Response:
    response: Response = await call_next(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


async def _explain(_: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 422)


async def _database(_: Request, error: Exception) -> Response:
    return JSONResponse({"detail": f"The ledger failed ({type(error).__name__}); is PostgreSQL up?"}, 503)


@lru_cache(maxsize=64)
def _engine(client: Client) -> sa.Engine:
    return ledger_engine(client, take=False)


def config(name: Chosen) -> Config:
    return load_config(client=name)


Configured = Annotated[Config, Depends(config)]


def ledger(of: Configured) -> sa.Engine:
    """One pool per client and process. A ledger that was out of reach is tried again by the next request."""
    engine = _engine(of.client)
    try:
        # it may have changed hands since the pool was made
        ledgers.check_owner(engine, of.client)
    except sa.exc.OperationalError:
        # or have a new password, which the connection has by now
        _engine.cache_clear()
        engine.dispose()
        engine = _engine(of.client)
        ledgers.check_owner(engine, of.client)
    return engine


Ledger = Annotated[sa.Engine, Depends(ledger)]


def may_act(name: Chosen, user: GetUserDep) -> bool:
    """Whether personal data is shown in full, and buttons at all."""
    return _may("POST", name, user)


MayAct = Annotated[bool, Depends(may_act)]


def index() -> FileResponse:
    return FileResponse(STATIC / "index.html", media_type="text/html")


def read_clients(found: Readable) -> list[dict[str, str]]:
    """What the page offers to choose from."""
    return [{"name": name, "dag_id": dag_id(name)} for name in found]


def read_overview(of: Configured, engine: Ledger, acting: MayAct, run: str | None = None) -> dict[str, Any]:
    if run is None:
        return {**overview.overview(engine, of.settings), "may_act": acting}
    with engine.connect() as connection:
        return {"runs": overview.runs(connection, run), "may_act": acting}


def read_person(query: Query, of: Configured, engine: Ledger, acting: MayAct) -> dict[str, Any]:
    """The one who was meant, or the ids to choose from."""
    matches = people.find(engine, query.text, privacy_key(of.client))
    found = people.person(engine, matches[0]) if len(matches) == 1 else None
    if found is None:
        return {"matches": matches, "person": None}
    answer = found.as_dict()
    return {"matches": matches, "person": answer if acting else answer | {"details": masked(found.details)}}


def read_worklist(query: ListQuery, engine: Ledger, acting: MayAct) -> dict[str, Any]:
    found = worklists.page(engine, query.name, query.reason, query.after, query.sort, query.descending)
    return {"rows": found.rows if acting else [masked(row) for row in found.rows], "after": found.after}


def download(query: ListQuery, engine: Ledger, acting: MayAct) -> StreamingResponse:
    """The whole list as CSV, of which no spreadsheet makes a formula."""
    rows = worklists.rows(engine, query.name, query.reason)
    lines = _csv(rows if acting else (masked(row) for row in rows))
    disposition = f'attachment; filename="o2o-{query.name}.csv"'
    return StreamingResponse(lines, media_type="text/csv", headers={"Content-Disposition": disposition})


def _csv(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(worklists.CSV_COLUMNS)
    for row in rows:
        writer.writerow([_no_formula(str(row[name] or "")) for name in worklists.CSV_COLUMNS])
        if buffer.tell() > 64_000:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _no_formula(text: str) -> str:
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def act(decision: Decision, engine: Ledger, user: GetUserDep) -> dict[str, Any]:
    """Through the pipeline's own functions; the audit keeps the user's name."""
    order = Order(decision.action, tuple(decision.employee_ids), str(user.get_name()), decision.why)
    done = actions.carry_out(engine, order)
    return {"done": list(done), "words": actions.concerns(order, done)}


def read_docs(name: Chosen, run: str) -> Response:
    """The run's Data Docs page, which holds counts and no personal data."""
    from o2o_registration.quality.pages import page_name

    folder = data_docs(name)
    page = folder / page_name(run) if folder else None
    if page is None or not page.is_file():
        return HTMLResponse(
            "<p>This run has no Data Docs: it checked no rows, or O2O_DATA_DOCS_DIR is not set.</p>", 404
        )
    # drawn by Great Expectations with styles of its own
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
    return FileResponse(page, media_type="text/html", headers={"Content-Security-Policy": policy})
