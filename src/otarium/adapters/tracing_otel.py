"""Traces for an OpenTelemetry collector, as the standard OTEL_* variables say.

On when an OTLP endpoint is named; this module is imported only then. Exports go out in a thread of the
library's, in batches, over OTLP/HTTP; what cannot be sent is dropped.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import Context

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otarium import __version__
from otarium.services.ports_watch import NoSpan, Said, request_id
from otarium.services.ports_watch import Span as SpanPort

_NOTHING = NoSpan()
_CLOSE_SECONDS = 3


class OtelTraces:
    """Made once per process."""

    def __init__(self) -> None:
        # A name given in code would win over the standard variables.
        given = "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        named = given or "OTEL_SERVICE_NAME" in os.environ
        resource = Resource.create({} if named else {"service.name": "otarium"})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("otarium", __version__)
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def request(self, headers: Mapping[str, str]) -> Iterator[SpanPort]:
        parent = self._propagator.extract(headers)
        with self._tracer.start_as_current_span("request", parent, trace.SpanKind.SERVER) as span:
            yield _Span(span)

    @contextmanager
    def root(self, name: str, caller: Context | None = None) -> Iterator[SpanPort]:
        parent = caller.run(otel_context.get_current) if caller else otel_context.Context()
        with self._tracer.start_as_current_span(name, parent) as span:
            yield _Span(span)

    def part(self, name: str, **said: Said) -> AbstractContextManager[SpanPort]:
        if not trace.get_current_span().get_span_context().is_valid:
            return _NOTHING
        return self._part(name, said)

    @contextmanager
    def _part(self, name: str, said: Mapping[str, Said]) -> Iterator[SpanPort]:
        with self._tracer.start_as_current_span(name) as span:
            made = _Span(span)
            made.note(**said)
            yield made

    def close(self) -> None:
        """A collector that is away must not keep the server from stopping: the library would try for long."""
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(_CLOSE_SECONDS)


class _Span:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def name(self, name: str) -> None:
        self._span.update_name(name)

    def note(self, **said: Said) -> None:
        self._span.set_attributes({name.replace("__", "."): value for name, value in said.items()})

    def failed(self, reason: str) -> None:
        self._span.set_status(trace.StatusCode.ERROR, reason)

    def joined(self, context: Context) -> None:
        other = context.run(trace.get_current_span).get_span_context()
        if other.is_valid:
            self._span.add_link(other, {"otarium.request_id": context.get(request_id) or ""})
