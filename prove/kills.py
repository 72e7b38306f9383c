"""kill -9 at random moments under eight uploaders, the same data directory all along.

Half of the kills take the whole process group, half the main process alone, which must leave no worker
behind. Half strike at random, half right when a release is first seen. After each restart everything
acknowledged is there, and `otarium verify` finds nothing.
"""

import os
import random
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from harness import Server, running_server
from prove.calls import download, listed, sha256
from prove.claims import Setup, claim
from prove.observer import Observer
from prove.processes import is_listening, members
from prove.traffic import UPLOADERS, Uploader

ROUNDS = 50
SHORTEST, LONGEST = 0.05, 1.5
READY_SECONDS = 5.0
GONE_SECONDS = 2.0
NEWS_SECONDS = 5.0
SAMPLE = 20
STARTS_KILLED = 0.2


@dataclass
class Tally:
    """What is reported."""

    kills: Counter[str] = field(default_factory=Counter)
    ready: list[float] = field(default_factory=list)
    downloads: int = 0
    statuses: Counter[str] = field(default_factory=Counter)


def prove(setup: Setup) -> list[str]:
    dice = random.Random(setup.seed)
    tally, rounds = Tally(), setup.rounds or ROUNDS
    with running_server(setup.directory / "kills", workers=2) as server, Observer(server) as observer:
        uploaders = [Uploader(server, f"load-{n}", f"{setup.seed} {n}") for n in range(UPLOADERS)]
        for number in range(rounds):
            strike = _Kill(
                server,
                whole_group=number % 2 == 0,
                observer=observer if number % 4 > 1 else None,
                patience=setup.patience,
            )
            observer.alert.set()
            _work_until_killed(strike, uploaders, dice.uniform(SHORTEST, LONGEST), tally)
            observer.alert.clear()
            if dice.random() < STARTS_KILLED:
                _kill_a_start(server, dice.uniform(0.1, 1.0), tally)
            _start(server, tally, READY_SECONDS + setup.patience)
            _check(server, uploaders, dice, tally)
            claim(not observer.problems, observer.problems)
    present = sum(book.present == {True} for one in uploaders for book in one.books.values())
    return [
        f"{sum(tally.kills.values())} x kill -9: {_counted(tally.kills)}",
        f"answers before: {_counted(tally.statuses)}",
        f"{present} packages at the end, 0 acknowledged ones lost, {tally.downloads} downloads compared",
        f"{observer.walks} walks and {observer.glances} glances of an observer saw {observer.files} files:"
        " no version with two byte strings, none falling",
        f"ready again after at most {max(tally.ready):.2f} s; no worker left by a killed main process",
    ]


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counter.items()))


class _Kill:
    """One kill -9; with an `observer`, as soon as it sees the next release."""

    def __init__(
        self, server: Server, *, whole_group: bool, observer: Observer | None, patience: float
    ) -> None:
        self._server = server
        self._whole_group = whole_group
        self._observer = observer
        self._patience = patience
        self.begun = threading.Event()

    @property
    def kind(self) -> str:
        return f"of {'the process group' if self._whole_group else 'the main process'}"

    def strike(self) -> None:
        if self._observer is None or not self._observer.at_next_release(self._signal, NEWS_SECONDS):
            self._signal()
        self._server.process.wait()
        if not self._whole_group:
            _require_nobody_left(self._server, GONE_SECONDS + self._patience)

    def _signal(self) -> None:
        self.begun.set()
        if self._whole_group:
            os.killpg(self._server.process.pid, signal.SIGKILL)
        else:
            self._server.process.kill()


def _work_until_killed(kill: _Kill, uploaders: list[Uploader], seconds: float, tally: Tally) -> None:
    stop = threading.Event()
    threads = [threading.Thread(target=uploader.run, args=(stop, kill.begun)) for uploader in uploaders]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    try:
        kill.strike()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    tally.kills[kill.kind] += 1
    for uploader in uploaders:
        claim(not uploader.problems, uploader.problems)
        tally.statuses += uploader.statuses
        uploader.statuses.clear()


def _require_nobody_left(server: Server, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (left := _left(server)) and time.monotonic() < deadline:
        time.sleep(0.02)
    claim(not left, f"{left} outlived the main process")


def _left(server: Server) -> str:
    """A process that the kernel still takes apart may hold its port for a moment longer than it is listed."""
    processes = members(server.process.pid)
    return f"processes {processes}" if processes else "the port" if is_listening(server.port) else ""


def _kill_a_start(server: Server, seconds: float, tally: Tally) -> None:
    """Another kill, while the server comes up; the next start must cope with that, too."""
    starting = threading.Thread(target=_start_and_be_killed, args=(server,))
    before = server.process
    starting.start()
    while server.process is before:
        time.sleep(0.001)
    time.sleep(seconds)
    server.kill_group()
    starting.join()
    tally.kills["while starting"] += 1


def _start_and_be_killed(server: Server) -> None:
    try:
        server.start()
    except RuntimeError:
        return


def _start(server: Server, tally: Tally, seconds: float) -> None:
    started = time.monotonic()
    server.start()
    tally.ready.append(time.monotonic() - started)
    claim(tally.ready[-1] <= seconds, f"ready only after {tally.ready[-1]:.1f} s")


def _check(server: Server, uploaders: list[Uploader], dice: random.Random, tally: Tally) -> None:
    """The books agree with the list; everything new and some of the old is downloaded."""
    truth = listed(server)
    for uploader in uploaders:
        uploader.settle(truth)
    here = [(key, book) for one in uploaders for key, book in one.books.items() if book.present == {True}]
    claim(len(truth) == len(here), f"{len(truth)} packages are listed, {len(here)} in the books")
    old = [one for one in here if one[1].downloaded]
    for package_id, book in [one for one in here if not one[1].downloaded] + dice.sample(
        old, min(SAMPLE, len(old))
    ):
        answer = download(server, package_id)
        claim(answer.status == 200, f"{package_id}: {answer.status} {answer.body[:200]!r}")
        claim(sha256(answer.body) == book.sha256, f"{package_id} has other bytes")
        book.downloaded = True
        tally.downloads += 1
    verified = server.run("verify", check=False)
    claim(verified.returncode == 0, f"otarium verify: {verified.stdout} {verified.stderr}")
