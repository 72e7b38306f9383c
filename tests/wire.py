"""A wire to a server on loopback that can go dead: packets are taken, and nobody hears of them any more."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

BLOCK = 65_536


class Wire:
    """Passes on whatever comes to `port`, while `alive` is set."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.port: int = self._listening.getsockname()[1]
        self._lamps: list[threading.Event] = []
        self.alive = self._lit()

    def _lit(self) -> threading.Event:
        lamp = threading.Event()
        lamp.set()
        self._lamps.append(lamp)
        return lamp

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open += [near, far]
                for pair in ((near, far, self.alive), (far, near, self.alive)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, alive: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(BLOCK):
                alive.wait()
                sink.sendall(data)
        with suppress(OSError):
            alive.wait()
            sink.shutdown(socket.SHUT_WR)

    def forget(self) -> None:
        """What is connected by now is dead for good; what connects later is not."""
        self.alive.clear()
        self.alive = self._lit()

    def close(self) -> None:
        for lamp in self._lamps:
            lamp.set()
        for one in (self._listening, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextmanager
def wire_to(port: int) -> Iterator[Wire]:
    wire = Wire(port)
    accepting = threading.Thread(target=wire.accept)
    accepting.start()
    try:
        yield wire
    finally:
        wire.close()
        accepting.join()
