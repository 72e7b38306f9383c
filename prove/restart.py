"""SIGTERM while many clients read over connections that stay open, and some up- and downloads are slow.

Whatever was asked before the signal is answered whole, nothing is ever cut in the middle, and the server
ends with exit code 0 in time. Later requests may find the connection closed before the first byte.
"""

import signal
import threading
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException, IncompleteRead

from harness import Server, running_server, upload
from prove.calls import body_of, sha256
from prove.claims import Setup, claim

ROUNDS = 5
READERS = 32
SLOW = 4
SLOW_SECONDS = 3.0
LARGE = 32 * 1024 * 1024
LEAD = 0.8  # seconds of load before the signal
DRAIN_SECONDS = 25
UNREAD_SECONDS = 0.01
"""A request that was sent this shortly before the signal may lie unread in a connection that is closing."""


def prove(setup: Setup) -> list[str]:
    rounds, counts, seconds = setup.rounds or ROUNDS, Counter[str](), []
    large = body_of("large", 1024 * 1024) * (LARGE // 1024 // 1024)
    with running_server(setup.directory / "restart", workers=2) as server:
        upload(server, "large", "1", large)
        for number in range(rounds):
            load = _Load(server, sha256(large), number)
            seconds.append(load.stop_under_it())
            claim(not load.problems, load.problems)
            counts.update(load.done)
            server.start()
        verified = server.run("verify", check=False)
        claim(verified.returncode == 0, f"otarium verify: {verified.stdout} {verified.stderr}")
    counted = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    return [
        f"{rounds} x SIGTERM: exit code 0 after at most {max(seconds):.1f} s",
        f"{counted}; none cut, none lost that was asked before the signal",
    ]


class _Load:
    """Readers and slow clients around one SIGTERM."""

    def __init__(self, server: Server, large: str, number: int) -> None:
        self._server = server
        self._large = large
        self._number = number
        self._stop = threading.Event()
        self._signalled = float("inf")
        self.problems: list[str] = []
        self.done: list[str] = []

    def stop_under_it(self) -> float:
        """Seconds from the signal to the end of the process."""
        work = [(self._read, n) for n in range(READERS)]
        work += [(job, n) for n in range(SLOW) for job in (self._download_slowly, self._upload_slowly)]
        threads = [threading.Thread(target=job, args=(n,)) for job, n in work]
        for thread in threads:
            thread.start()
        time.sleep(LEAD)
        self._signalled = time.monotonic()
        self._server.process.send_signal(signal.SIGTERM)
        code = self._server.process.wait(DRAIN_SECONDS + 10)
        took = time.monotonic() - self._signalled
        self._stop.set()
        for thread in threads:
            thread.join()
        claim(code == 0, f"exit code {code}")
        claim(took <= DRAIN_SECONDS, f"it took {took:.1f} s to end")
        return took

    def _connection(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self._server.port, timeout=60)

    def _read(self, number: int) -> None:
        connection = self._connection()
        paths = ("/repo/timestamp.json", "/tuf/timestamp.json", "/repo/targets.json", "/health/live")
        while not self._stop.is_set():
            asked = time.monotonic()
            try:
                connection.request("GET", paths[number % len(paths)])
                asked = time.monotonic()
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    self.problems.append(f"GET {paths[number % len(paths)]}: {answer.status}")
                self.done.append("quick answers")
            except IncompleteRead as cut:
                self.problems.append(f"GET was cut: {cut!r}")
                return
            except (OSError, HTTPException) as error:
                if asked < self._signalled - UNREAD_SECONDS:
                    early = self._signalled - asked
                    self.problems.append(f"GET asked {early:.4f} s before the signal: {error!r}")
                return

    def _download_slowly(self, _number: int) -> None:
        try:
            connection = self._connection()
            connection.request("GET", "/repo/targets/large-1")
            answer = connection.getresponse()
            parts, steps = [], 30
            for _ in range(steps):
                parts.append(answer.read(LARGE // steps))
                time.sleep(SLOW_SECONDS / steps)
            parts.append(answer.read())
            if sha256(b"".join(parts)) != self._large:
                self.problems.append("a slow download got other bytes")
            self.done.append("slow downloads")
        except (OSError, HTTPException) as error:
            self.problems.append(f"slow download: {error!r}")

    def _upload_slowly(self, number: int) -> None:
        body, steps = body_of(f"slow {self._number} {number}", 1024 * 1024), 30
        path = f"/api/v2beta/packages?name=slow-{self._number}&version={number}&targetFormat=BINARY"
        try:
            connection = self._connection()
            connection.putrequest("POST", path)
            connection.putheader("Authorization", f"Bearer {self._server.token}")
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            size = len(body) // steps + 1
            for start in range(0, len(body), size):
                connection.send(body[start : start + size])
                time.sleep(SLOW_SECONDS / steps)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                self.problems.append(f"slow upload: {answer.status}")
            self.done.append("slow uploads")
        except (OSError, HTTPException) as error:
            self.problems.append(f"slow upload: {error!r}")
