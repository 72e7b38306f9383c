"""The processes that a server's main process forks: one that prepares the data and ends, and the workers."""

import ctypes
import gc
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from otarium import banner, logs, running
from otarium.domain.errors import Broken
from otarium.settings import Settings

if TYPE_CHECKING:
    from otarium.web.app import Asgi

_PR_SET_PDEATHSIG = 1
_M_ARENA_MAX, _ARENAS = -8, 2
"""Threads that meet in an arena make another one, and what is freed there serves only those that use it, so
that memory grows."""
_TRIM_SECONDS = 60.0
MAIN_PID = "OTARIUM_MAIN_PID"
_NO_FAILURE = {None, 0, -signal.SIGINT, -signal.SIGTERM}


class Preparation:
    """The data directory is made or migrated in a process of its own, since what is loaded for that would
    stay in memory for good. Workers load their code meanwhile, and wait for it before they open anything."""

    def __init__(self, settings: Settings) -> None:
        fork = multiprocessing.get_context("fork")
        self._settings = settings
        self._done = fork.Event()
        self._told, self._telling = fork.Pipe(duplex=False)
        self._process = fork.Process(target=self._prepare, daemon=True)
        self._failure: Exception | None = None

    def start(self, failed: Callable[[], None]) -> None:
        """Calls `failed` from another thread when it comes to that."""
        self._process.start()
        self._telling.close()
        threading.Thread(target=self._watch, args=(failed,), daemon=True).start()

    def wait(self) -> None:
        """For a worker, until it is done. Where it fails, the main process ends the workers."""
        self._done.wait()

    def require(self) -> None:
        """Raises what it failed with, if it did; a server may have been stopped before it was done."""
        if self._failure is not None:
            raise self._failure
        if self._process.exitcode not in _NO_FAILURE:
            code = self._process.exitcode
            raise Broken(f"preparing the data directory ended unexpectedly, with code {code}; start again")

    def _prepare(self) -> None:
        _begin()
        try:
            with _no_garbage_collected():
                from otarium import bootstrap

            repository, issued = bootstrap.start(self._settings)
            repository.catalog.close()
            banner.show(self._settings, issued)
        except Exception as error:
            error.add_note(traceback.format_exc())
            self._telling.send(error)
        else:
            self._done.set()

    def _watch(self, failed: Callable[[], None]) -> None:
        with suppress(EOFError):  # it ended and said nothing
            self._failure = self._told.recv()
        self._process.join()
        if not self._done.is_set():
            failed()


def worker(preparation: Preparation) -> "Asgi":
    """The application of one worker process; called by the web server in it."""
    _begin()
    with _no_garbage_collected():
        import otarium.web.app  # noqa: F401
        from otarium import bootstrap

        settings = Settings()
        logs.configure(settings.logs.format)
        preparation.wait()
        app = bootstrap.web_app(settings)
        # What is here now stays: to look through all of it stops a worker for tens of milliseconds.
        gc.freeze()
    threading.Thread(target=_give_back, name="memory", daemon=True).start()
    return app


def _give_back() -> None:
    """What was freed, to the system, for as long as this process lives. It lies in pieces between what is
    used, so glibc does not do that by itself, and memory would grow for hours while no more of it is used."""
    with suppress(AttributeError):  # only glibc can
        give_back = ctypes.CDLL(None).malloc_trim
        while True:
            time.sleep(_TRIM_SECONDS)
            give_back(0)


@contextmanager
def _no_garbage_collected() -> Iterator[None]:
    """While code is loaded there is hardly any, and looking for it takes a tenth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _begin() -> None:
    """What a child does first: it stops when it is told to, and dies with its parent. Without that a killed
    main process would leave workers answering on the port."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    running.leave_locks()
    system = ctypes.CDLL(None, use_errno=True)
    system.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with suppress(AttributeError):  # only glibc has arenas
        system.mallopt(_M_ARENA_MAX, _ARENAS)
    if os.getppid() != int(os.environ[MAIN_PID]):
        os._exit(1)
