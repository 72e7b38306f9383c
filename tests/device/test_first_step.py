"""Requests that wait for nothing have no task, and all others have one as ever."""

import asyncio
from collections.abc import Coroutine

import pytest
from granian._futures import _future_watcher_wrapper

from otarium.web import first_step
from otarium.web.first_step import in_a_task

seen: list[str] = []


async def named(inner: Coroutine[object, object, None]) -> None:
    await inner


def request(inner: Coroutine[object, object, None]) -> Coroutine[object, object, None]:
    """As the HTTP server makes it."""
    watcher = named(inner)
    watcher.__name__ = _future_watcher_wrapper(None).__name__
    return watcher


@pytest.fixture
def loop():
    seen.clear()
    made = asyncio.new_event_loop()
    first_step.install(made)
    yield made
    made.close()


def test_what_waits_for_nothing_is_over_before_the_loop_turns(loop: asyncio.AbstractEventLoop) -> None:
    async def at_once() -> None:
        seen.append("answered")

    task = loop.create_task(request(at_once()))
    assert seen == ["answered"] and task.done()


def test_what_has_to_wait_goes_on_in_a_task_with_timeouts(loop: asyncio.AbstractEventLoop) -> None:
    async def waits() -> None:
        await in_a_task()
        assert asyncio.current_task() is not None
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)
        except TimeoutError:
            seen.append("too late")

    task = loop.create_task(request(waits()))
    assert not task.done()
    loop.run_until_complete(task)
    assert seen == ["too late"]


def test_any_other_coroutine_gets_its_task(loop: asyncio.AbstractEventLoop) -> None:
    async def other() -> None:
        seen.append("run")

    task = loop.create_task(other())
    assert not seen and isinstance(task, asyncio.Task)
    loop.run_until_complete(task)
    assert seen == ["run"]
