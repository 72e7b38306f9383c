"""A request that waits for nothing is answered without a task.

The HTTP server makes a task of every request. That, and the turn of the event loop that it takes, are a
tenth of answering timestamp.json. So the coroutine of a request takes its first step at once, and whoever
has to wait for something awaits `in_a_task()` before anything else.
"""

import asyncio
from collections.abc import Coroutine, Generator
from contextvars import Context
from types import coroutine
from typing import Any

_OF_REQUESTS = "future_watcher"
"""What the server calls the coroutine of a request. Under another name it would get its task as ever."""


@coroutine
def in_a_task() -> Generator[None, None, None]:
    """From here on the request has a task of its own: cancellation, timeouts and futures need one."""
    yield


def install(loop: asyncio.AbstractEventLoop) -> None:
    done = loop.create_future()
    done.set_result(None)

    def make(
        loop: asyncio.AbstractEventLoop,
        steps: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        context: Context | None = None,
    ) -> "asyncio.Future[Any]":
        if getattr(steps, "__name__", "") == _OF_REQUESTS:
            try:
                steps.send(None)
            except StopIteration:
                return done
        return asyncio.Task(steps, loop=loop, context=context)

    loop.set_task_factory(make)
