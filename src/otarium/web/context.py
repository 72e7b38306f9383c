"""What every handler needs, made once per worker by the bootstrap."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar

from otarium.services.clients import Clients
from otarium.services.downloads import Downloads
from otarium.services.feed import Feed
from otarium.services.health import Health
from otarium.services.inventory import Contents, Inventory
from otarium.services.metadata import Metadata
from otarium.services.offloading import Offloading
from otarium.services.packages import Packages
from otarium.services.ports import Views
from otarium.services.ports_blobs import BlobStore
from otarium.services.ports_watch import Traces
from otarium.services.refreshing import Refreshing
from otarium.services.source_files import SourceFiles
from otarium.services.sources import Sources
from otarium.services.uploads import Uploads
from otarium.web.limits import Admission, Pace
from otarium.web.meters import WorkerMeters

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Web:
    """Services, thread pools and the HTTP settings of one worker."""

    packages: Packages
    uploads: Uploads
    downloads: Downloads
    metadata: Metadata
    sources: Sources
    refreshing: Refreshing
    now: Callable[[], int]
    source_spelling: str
    source_files: SourceFiles
    feed: Feed
    clients: Clients
    blobs: BlobStore
    views: Views
    health: Health
    offloading: Offloading | None
    inventory: Inventory
    contents: Callable[[], Contents]
    """The same as the inventory's, not counted anew each time."""
    meters: WorkerMeters
    traces: Traces
    logs_devices: bool
    readers: Executor
    writers: Executor
    listers: Executor
    admission: Admission
    pace: Pace
    base_url: str
    token_path: str
    devices_need_token: bool
    targets_limit: int
    """Bytes of targets.json that all devices read."""
    device_header: bytes | None
    """Lower-case; where a proxy tells devices apart."""
    started: Callable[[], None]
    stopped: Callable[[], None]
    page_size: int = field(default=1000)
    """Longer lists are streamed in chunks."""

    @property
    def cache_forever(self) -> bytes:
        """For what never changes; where a token is needed, shared caches must not hand it out without."""
        audience = b"private" if self.devices_need_token else b"public"
        return audience + b", max-age=31536000, immutable"

    async def reading(self, call: Callable[..., T], *arguments: Any) -> T:
        return await _on(self.readers, call, arguments)

    async def listing(self, call: Callable[..., T], *arguments: Any) -> T:
        """Pages are made by Python alone: more threads than a few only take the interpreter from one another,
        and in the pool of readers they would keep devices waiting."""
        return await _on(self.listers, call, arguments)

    async def writing(self, call: Callable[..., T], *arguments: Any) -> T:
        return await _on(self.writers, call, arguments)


def _on(pool: Executor, call: Callable[..., T], arguments: tuple[Any, ...]) -> "asyncio.Future[T]":
    """In a thread, for the same request: its id and its span go along. The answer comes straight back, which
    is half the way that `run_in_executor` takes."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()
    pool.submit(_call, loop, answer, copy_context(), call, arguments)
    return answer


def _call(
    loop: asyncio.AbstractEventLoop,
    answer: "asyncio.Future[T]",
    context: Context,
    call: Callable[..., T],
    arguments: tuple[Any, ...],
) -> None:
    if answer.cancelled():
        return
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        try:
            found = context.run(call, *arguments)
        except BaseException as error:
            loop.call_soon_threadsafe(_settle, answer, answer.set_exception, error)
        else:
            loop.call_soon_threadsafe(_settle, answer, answer.set_result, found)


def _settle(answer: "asyncio.Future[Any]", settle: Callable[[Any], None], outcome: Any) -> None:
    if not answer.done():
        settle(outcome)


async def published(future: "Future[T]") -> T:
    """Await a change without holding a thread. A client that leaves does not undo it."""
    return await asyncio.shield(asyncio.wrap_future(future))
