"""What one upload may take of the server: a place, time between bytes, a minimum rate, memory.

Bytes are received by the event loop and written by a thread, at most two buffers per upload in memory.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from otarium.domain.errors import Invalid, TooLarge, Unavailable
from otarium.domain.errors import Timeout as TooSlow
from otarium.services.ports_blobs import StagedBlob

BUFFER_BYTES = 512 * 1024
JSON_BYTES = 1024 * 1024
PATH_BYTES = 8 * 1024

Receive = Callable[[], Awaitable[Any]]


class ClientGone(Invalid):
    """Whoever sent the body has left; the answer will be read by nobody."""

    code = "request_canceled_by_upstream"


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds without a byte, and bytes per second over the whole upload, that end it."""

    idle_seconds: float
    min_rate: int


class Admission:
    """How many uploads run at once in this worker, and how many bytes they still will write."""

    def __init__(self, at_once: int, changed: Callable[[int], None]) -> None:
        """`changed` is told how many run."""
        self._at_once = at_once
        self._changed = changed
        self._running = 0
        self.announced = 0

    @contextmanager
    def admit(self, length: int) -> Iterator["Ticket"]:
        """Raises Unavailable when all places are taken."""
        if self._running >= self._at_once:
            raise Unavailable("Too many uploads are running; try again in a moment.", retry_after=5)
        ticket = Ticket(self, length)
        self._running += 1
        self._changed(self._running)
        self.announced += length
        try:
            yield ticket
        finally:
            self._running -= 1
            self._changed(self._running)
            ticket.written(ticket.left)


class Ticket:
    """One upload's part of what is announced; falls as its bytes are written."""

    def __init__(self, admission: Admission, length: int) -> None:
        self._admission = admission
        self.left = length

    def written(self, count: int) -> None:
        count = min(count, self.left)
        self.left -= count
        self._admission.announced -= count


async def pump(receive: Receive, staged: StagedBlob, ticket: Ticket, pace: Pace, pool: Executor) -> bytes:
    """Move a request body into `staged`. One smaller than a buffer is answered instead, for whoever finishes
    the upload to write: to hand it to a thread here would take longer than writing it. Raises TooSlow,
    ClientGone, or what writing raises."""
    loop = asyncio.get_running_loop()
    started = time.monotonic()
    received = 0
    waiting: list[bytes] = []
    waiting_bytes = 0
    writing: asyncio.Future[None] | None = None
    try:
        more = True
        while more:
            chunk, more = await _next_chunk(receive, pace.idle_seconds)
            received += len(chunk)
            _check_rate(received, time.monotonic() - started, pace)
            waiting.append(chunk)
            waiting_bytes += len(chunk)
            if waiting_bytes >= BUFFER_BYTES or (writing is not None and not more):
                if writing is not None:
                    await writing
                writing = loop.run_in_executor(pool, staged.write, b"".join(waiting))
                ticket.written(waiting_bytes)
                waiting, waiting_bytes = [], 0
    finally:
        if writing is not None:
            await asyncio.wait([writing])
    if writing is not None:
        writing.result()
    ticket.written(waiting_bytes)
    return b"".join(waiting)


async def _next_chunk(receive: Receive, idle_seconds: float) -> tuple[bytes, bool]:
    try:
        async with asyncio.timeout(idle_seconds):
            message = await receive()
    except TimeoutError:
        raise TooSlow(f"No byte arrived for {idle_seconds:g} seconds; send the upload again.") from None
    if message["type"] != "http.request":
        raise ClientGone("The client left before the whole body had arrived.")
    return message.get("body", b""), message.get("more_body", False)


def _check_rate(received: int, elapsed: float, pace: Pace) -> None:
    if elapsed > pace.idle_seconds and received < elapsed * pace.min_rate:
        raise TooSlow(f"The upload is slower than {pace.min_rate} bytes per second; send it again.")


async def read_body(receive: Receive, idle_seconds: float) -> bytes:
    """A small body as a whole. Raises TooLarge above 1 MiB."""
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        chunk, more = await _next_chunk(receive, idle_seconds)
        parts.append(chunk)
        size += len(chunk)
        if size > JSON_BYTES:
            raise TooLarge(f"A JSON body has at most {JSON_BYTES} bytes.")
    return b"".join(parts)
