"""Prometheus metrics. Read from the catalog at each scrape, so that any worker tells the same."""

from collections.abc import Callable, Iterable

from litestar import Response, get
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from otarium.domain.access import Actor
from otarium.domain.sources import Source, SourceState
from otarium.services.health import Health
from otarium.services.metadata import Metadata
from otarium.web.context import Web


@get("/metrics", name="metrics")
async def metrics(web: Web, device: Actor | None) -> Response[bytes]:
    """`device`: whoever may fetch metadata may read this."""
    text = await web.reading(_text, web)
    return Response(text, headers={"content-type": CONTENT_TYPE_LATEST, "cache-control": "no-store"})


def _text(web: Web) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Repository(web.metadata))
    registry.register(_Sources(web.health, web.now()))
    return generate_latest(registry)


class _Repository(Collector):
    def __init__(self, metadata: Metadata) -> None:
        self._release = metadata.current

    def collect(self) -> Iterable[GaugeMetricFamily]:
        yield GaugeMetricFamily("otarium_release", "Number of the newest release", self._release.number)
        expiry = GaugeMetricFamily(
            "otarium_role_expires_timestamp_seconds", "When a signed file expires", labels=["role"]
        )
        for file in self._release.files():
            expiry.add_metric([file.role], file.expires)
        yield expiry


class _Sources(Collector):
    def __init__(self, health: Health, now: int) -> None:
        self._sources = health.sources()
        self._now = now

    def collect(self) -> Iterable[GaugeMetricFamily]:
        state = GaugeMetricFamily(
            "otarium_source_state", "1 for the state that a source is in", labels=["source", "state"]
        )
        for source in self._sources:
            for one in SourceState:
                state.add_metric([source.name, one.value], float(source.state(self._now) is one))
        yield state
        yield self._numbers(
            "otarium_source_expires_timestamp_seconds", "When its list expires", lambda source: source.expires
        )
        yield self._numbers(
            "otarium_source_fetched_timestamp_seconds",
            "When it was fetched last",
            lambda source: source.last_fetched,
        )
        yield self._numbers(
            "otarium_source_failures",
            "Failed refreshes since the last good one",
            lambda source: source.failures,
        )

    def _numbers(self, name: str, text: str, value: Callable[[Source], int | None]) -> GaugeMetricFamily:
        family = GaugeMetricFamily(name, text, labels=["source"])
        for source in self._sources:
            if (number := value(source)) is not None:
                family.add_metric([source.name], number)
        return family
