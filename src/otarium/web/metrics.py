"""Prometheus metrics: what the workers of this machine counted, and what the catalog says at each scrape.

The catalog is the same for all replicas, so its numbers are gauges to take the maximum of. While it cannot
be read, `otarium_catalog_up` is 0 and its numbers are missing; the rest is told all the same.
"""

import time
from collections.abc import Callable, Iterable, Sequence

from litestar import Response, get
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from otarium import __version__
from otarium.domain.access import Actor
from otarium.domain.errors import Refusal
from otarium.domain.release import Release
from otarium.domain.sources import Source, SourceState
from otarium.services.inventory import Contents, Inventory
from otarium.services.offloading import OffloadHealth
from otarium.web.context import Web

CONTENTS_SECONDS = 60.0


@get("/metrics", name="metrics")
async def metrics(web: Web, device: Actor | None) -> Response[bytes]:
    """`device`: whoever may fetch metadata may read this."""
    text = await web.reading(_text, web)
    return Response(text, headers={"content-type": CONTENT_TYPE_LATEST, "cache-control": "no-store"})


def _text(web: Web) -> bytes:
    web.meters.tell_device_requests()
    collected = [_gauge("otarium_info", "The version of the server", {"version": __version__}, 1)]
    try:
        web.metadata.refresh()
        collected += _sources(web.inventory.sources(), web.now())
        collected += _contents(web.contents())
        up = 1
    except Refusal:
        up = 0
    collected += _release(web.metadata.current, web.targets_limit)
    collected += _offload(web.offloading.health()) if web.offloading else []
    collected.append(_gauge("otarium_catalog_up", "1 while the catalog can be read", {}, up))
    free = web.inventory.free_bytes()
    if free is not None:
        collected.append(_gauge("otarium_free_bytes", "Free space where blobs are kept", {}, free))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(collected))
    return generate_latest(web.meters.totals()) + generate_latest(registry)


class _Collected(Collector):
    def __init__(self, families: Sequence[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> Iterable[GaugeMetricFamily]:
        return self._families


class RecentContents:
    """The contents, counted again once they are a minute old."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._counted = 0.0
        self._contents: Contents | None = None

    def __call__(self) -> Contents:
        now = time.monotonic()
        if self._contents is None or now - self._counted > CONTENTS_SECONDS:
            self._contents = self._inventory.contents()
            self._counted = now
        return self._contents


def _gauge(name: str, text: str, labels: dict[str, str], value: float) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family


def _release(release: Release, limit: int) -> list[GaugeMetricFamily]:
    expiry = GaugeMetricFamily(
        "otarium_role_expires_timestamp_seconds", "When a signed file expires", labels=["role"]
    )
    for file in (release.root, release.targets, release.snapshot, release.timestamp):
        expiry.add_metric([file.role], file.expires)
    size = release.targets.length
    return [
        _gauge("otarium_release", "Number of the newest release", {}, release.number),
        expiry,
        _gauge("otarium_targets_bytes", "Size of targets.json, in the larger dialect", {}, size),
        _gauge("otarium_targets_limit_bytes", "The largest that all devices read", {}, limit),
    ]


def _offload(health: OffloadHealth) -> list[GaugeMetricFamily]:
    return [
        _gauge("otarium_offload_release", "Number of the release in the copy", {}, health.release),
        _gauge("otarium_offload_behind_seconds", "How long it is not the newest", {}, health.behind),
    ]


def _contents(contents: Contents) -> list[GaugeMetricFamily]:
    packages = GaugeMetricFamily(
        "otarium_packages", "Packages by source; own ones are of targets", labels=["source"]
    )
    for source, count in contents.packages.items():
        packages.add_metric([source], count)
    return [
        packages,
        _gauge("otarium_blobs", "Blobs that are kept", {}, contents.blobs),
        _gauge("otarium_blob_bytes", "Bytes of all blobs", {}, contents.blob_bytes),
        _gauge("otarium_shelves", "Delegated roles that hold packages", {}, contents.shelves),
        _gauge("otarium_shelves_due", "Those among them to be signed again by now", {}, contents.shelves_due),
    ]


def _sources(sources: Sequence[Source], now: int) -> list[GaugeMetricFamily]:
    state = GaugeMetricFamily(
        "otarium_source_state", "1 for the state that a source is in", labels=["source", "state"]
    )
    for source in sources:
        for one in SourceState:
            state.add_metric([source.name, one.value], float(source.state(now) is one))

    def numbers(name: str, text: str, value: Callable[[Source], int | None]) -> GaugeMetricFamily:
        family = GaugeMetricFamily(f"otarium_source_{name}", text, labels=["source"])
        for source in sources:
            if (number := value(source)) is not None:
                family.add_metric([source.name], number)
        return family

    return [
        state,
        numbers("expires_timestamp_seconds", "When its list expires", lambda source: source.expires),
        numbers("fetched_timestamp_seconds", "When it was fetched last", lambda source: source.last_fetched),
        numbers("failures", "Failed refreshes since the last good one", lambda source: source.failures),
    ]
