"""Spans as a collector gets them: a small HTTP server stands in for it, and what it is sent is parsed by the
field's own definitions."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from harness import PATIENCE, http, running_server, upload

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    def __init__(self, port: int) -> None:
        self.port = port
        self.spans: list[Span] = []
        self.services: set[str] = set()

    def take(self, body: bytes) -> None:
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services |= {
                one.value.string_value for one in of_resource.resource.attributes if one.key == "service.name"
            }
            for scope in of_resource.scope_spans:
                self.spans += scope.spans

    def trace(self, trace_id: str, *names: str) -> dict[str, Span]:
        """The spans of a trace by name, once all `names` have come."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found = {span.name: span for span in list(self.spans) if span.trace_id.hex() == trace_id}
            if found.keys() >= set(names):
                return found
            time.sleep(0.05)
        raise AssertionError(f"no {set(names) - found.keys()} among {sorted(found)}")

    def environment(self) -> dict[str, str]:
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }


@pytest.fixture
def collector() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces":
                made.take(body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Collector(server.server_port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


def said(span: Span) -> dict[str, object]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_an_upload_is_one_trace_under_the_callers_span(collector, tmp_path):
    with running_server(tmp_path / "data", env=collector.environment()) as server:
        caller = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        upload(server, "traced", "1", b"bytes of a package", headers=caller)
        request = "POST /api/v2beta/packages"
        spans = collector.trace(TRACE, request, "blob commit", "publish", "transaction write")
    assert spans[request].parent_span_id.hex() == PARENT
    assert spans[request].kind == Span.SPAN_KIND_SERVER
    assert said(spans[request])["http.response.status_code"] == 200
    assert said(spans["blob finish"])["otarium.blob.bytes"] == len(b"bytes of a package")
    assert {spans[name].parent_span_id for name in ("blob commit", "publish")} == {spans[request].span_id}
    assert said(spans["publish"]) == {"otarium.changes": 1, "otarium.release": 2}
    assert spans["transaction write"].parent_span_id == spans["publish"].span_id
    assert said(spans["transaction write"])["db.system.name"] == "sqlite"
    assert collector.services == {"otarium"}


def test_a_refused_request_tells_its_status_and_its_id_and_no_secret(collector, tmp_path):
    with running_server(tmp_path / "data", env=collector.environment()) as server:
        caller = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        answer = http(server, "GET", "/api/v2/packages?name=s3cret", token="s3cret", headers=caller)
        (span,) = collector.trace(TRACE, "GET /api/v2/packages").values()
    assert said(span)["http.response.status_code"] == 401
    assert said(span)["otarium.request_id"] == answer.headers["x-request-id"]
    assert "s3cret" not in str(span)


def test_devices_make_no_spans(collector, tmp_path):
    with running_server(tmp_path / "data", env=collector.environment()) as server:
        caller = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        for path in ("/repo/timestamp.json", "/tuf/1.root.json", "/repo/targets/none"):
            http(server, "GET", path, headers=caller, token=None)
        last = http(server, "GET", "/health/ready", headers={"traceparent": f"00-{'1' * 32}-{PARENT}-01"})
        assert last.status == 200
        collector.trace("1" * 32, "GET /health/ready")
    assert not [span for span in collector.spans if span.trace_id.hex() == TRACE]


def test_the_standard_variables_rule(collector, tmp_path):
    env = {
        **collector.environment(),
        "OTEL_SERVICE_NAME": "packages",
        "OTEL_TRACES_SAMPLER": "parentbased_always_off",
    }
    with running_server(tmp_path / "data", env=env) as server:
        upload(server, "unsampled", "1", b"bytes")
        upload(server, "sampled", "1", b"other", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
        collector.trace(TRACE, "publish")
    assert collector.services == {"packages"}
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}


def test_a_collector_that_is_away_harms_nobody(tmp_path):
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with running_server(tmp_path / "data", env=env) as server:
        upload(server, "untold", "1", b"bytes")
        asked = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - asked < 3 + PATIENCE


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_imported_while_traces_are_off(env, tmp_path):
    program = (
        "import sys; from otarium import bootstrap; from otarium.settings import Settings\n"
        "settings = Settings(); bootstrap.prepare(settings); bootstrap.web_app(settings)\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exp'))])"
    )
    env = {**os.environ, **env, "OTARIUM_DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
