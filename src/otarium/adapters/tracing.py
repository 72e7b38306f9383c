"""Whether traces are wanted, as the standard OTEL_* variables say. Nothing is imported when they are not."""

import os
from importlib.util import find_spec

from otarium.domain.errors import Broken
from otarium.services.ports_watch import NoTraces, Traces

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def is_wanted() -> bool:
    """Once an endpoint is named, unless the SDK is disabled or another exporter than OTLP is asked for."""
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    exporters = os.environ.get("OTEL_TRACES_EXPORTER", "otlp").split(",")
    return not disabled and "otlp" in exporters and any(map(os.environ.get, _ENDPOINTS))


def require() -> None:
    """Raises Broken when traces are wanted and their libraries are missing."""
    if is_wanted() and find_spec("opentelemetry") is None:
        raise Broken("an OTLP endpoint is set, which needs more: pip install 'otarium[server,otel]'")


def make() -> Traces:
    if not is_wanted():
        return NoTraces()
    from otarium.adapters.tracing_otel import OtelTraces

    return OtelTraces()
