"""The plugin: the "o2o registrations" page in Airflow's navigation, on the DAG and on its runs."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin
from o2o_links import RunPageLink

PREFIX = "/o2o"
TITLE = "o2o registrations"


class LazyApp:
    """The page's application, imported by the first request: the scheduler and every task load this module too."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._app is None:
            from o2o_page_app import create_app

            self._app = create_app()
        await self._app(scope, receive, send)


def _view(destination: str, route: str, href: str) -> dict[str, str]:
    return {"name": TITLE, "href": href, "destination": destination, "url_route": route}


class O2ORegistrationsPlugin(AirflowPlugin):
    """Its views are frames of one page; from a run, the page shows that run alone."""

    name = "o2o_registrations"
    fastapi_apps = [{"app": LazyApp(), "url_prefix": PREFIX, "name": TITLE}]  # noqa: RUF012 - as Airflow wants it
    external_views = [  # noqa: RUF012
        {**_view("nav", "o2o", f"{PREFIX}/"), "category": "browse"},
        _view("dag", "o2o-dag", f"{PREFIX}/?dag={{DAG_ID}}"),
        _view("dag_run", "o2o-run", f"{PREFIX}/?dag={{DAG_ID}}&run={{RUN_ID}}"),
    ]
    operator_extra_links = [RunPageLink()]  # noqa: RUF012
