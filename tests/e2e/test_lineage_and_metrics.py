"""What a company's lineage tool and metrics collector receive, over HTTP, from a real Airflow."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.faults.__main__ import servers
from tests.faults.airflow import DAG, airflow, wait
from tests.faults.world import TOKEN, World, world

pytestmark = [pytest.mark.e2e, pytest.mark.integration]


@dataclass
class Received:
    """Bodies by path."""

    bodies: list[tuple[str, bytes]] = field(default_factory=list)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for path, body in self.bodies if path == "/lineage"]

    def gauges(self) -> dict[str, float]:
        """The latest value by name."""
        found = {}
        for path, body in self.bodies:
            if path != "/v1/metrics":
                continue
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                    for point in metric.gauge.data_points:
                        found[metric.name] = point.as_double or point.as_int
        return found


@pytest.fixture(scope="module")
def collected() -> Iterator[tuple[World, Received]]:
    """An Airflow that reports to a collector, after one run in which somebody ends in doubt."""
    received = Received()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            unpacked = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            received.bodies.append((self.path, unpacked))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    collector = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{collector.server_port}"
    with servers() as (postgres, folder), world(postgres, folder, seed=11) as place:
        place.environment |= {
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "http", "url": url, "endpoint": "lineage"}),
            "AIRFLOW__METRICS__OTEL_ON": "True",
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        }
        with airflow(place) as stack:
            place.settings(in_doubt={"policy": "hold"})
            place.hire(5)
            place.simulator.add_fault("reset_after_read", next=1, processed=True)
            assert wait(stack, stack.api.trigger(DAG)) == "success"
        yield place, received
    collector.shutdown()
    collector.server_close()


def test_lineage_leads_from_the_warehouses_table_to_the_audit(collected: tuple[World, Received]) -> None:
    """Task by task, each output the next one's input."""
    place, received = collected
    database = place.engine.url.database
    namespace = f"postgres://{place.engine.url.host}:{place.engine.url.port}"
    edges = {
        (event["job"]["name"].rpartition(".")[2], read["name"], written["name"])
        for event in received.events()
        if event["eventType"] == "COMPLETE"
        for read in event["inputs"]
        for written in event["outputs"]
        if read["namespace"] == written["namespace"] == namespace
    }
    way = ("hr.employee", "o2o.candidate", "o2o.registration", "o2o.attempt", "o2o.audit")
    tasks = ("extract_interested_employees", "build_payloads", "post_users", "load_audit")
    assert edges >= {
        (task, f"{database}.{read}", f"{database}.{written}")
        for task, read, written in zip(tasks, way[:-1], way[1:], strict=True)
    }


def test_no_event_and_no_metric_carries_a_person_or_the_token(collected: tuple[World, Received]) -> None:
    _, received = collected
    assert received.events()
    for _, body in received.bodies:
        text = body.decode(errors="replace").lower()
        assert not any(secret in text for secret in ("peeters", "@example", TOKEN))


def test_the_gauges_reach_the_collector_by_the_names_that_are_documented(collected: tuple[World, Received]) -> None:
    _, received = collected
    gauges = received.gauges()
    names = ("airflow.o2o.pending", "airflow.o2o.in_doubt", "airflow.o2o.held")
    assert {name: gauges.get(name) for name in names} == dict(zip(names, (0, 1, 0), strict=True))
