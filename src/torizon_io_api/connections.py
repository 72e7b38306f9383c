"""Connections that notice an answer while a body is still being sent.

A server may refuse an upload from its headers alone (401, 409, 413) and then close, or just stop reading.
Sending on would end in a broken pipe, push gigabytes at a server that has already said no, or wait for room
that it never makes. So the client listens while it sends; when something comes back, or sending fails, the
rest of the body is left unsent and the answer is read. Such a connection is in the middle of a request and is
never used again.
"""

from socket import socket
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.wait import wait_for_read, wait_for_socket

from .upload import Upload


class _Attentive(HTTPConnection):
    looks_back = True

    _stall: float | None = None
    _in_body = False
    _cut_off = False

    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any) -> None:
        self._stall = body.stall if isinstance(body, Upload) else None
        super().request(method, url, body, headers, **options)

    def endheaders(self, *arguments: Any, **options: Any) -> None:
        super().endheaders(*arguments, **options)
        self._in_body = True

    def send(self, data: Any) -> None:
        if not self._in_body or self.sock is None:
            super().send(data)
            return
        # Left alone, the limit for connecting would apply to every block of the body.
        if self._stall is not None:
            self.sock.settimeout(self._stall)
        try:
            if self.looks_back:
                self._send_watching(self.sock, memoryview(data))
            else:
                super().send(data)
        except (TimeoutError, BrokenPipeError):
            raise
        except OSError as error:
            self._leave_body(error)

    def _send_watching(self, sock: socket, data: memoryview) -> None:
        """Waits for room and for an answer at once: a server that stopped reading never makes room."""
        while data:
            if not wait_for_socket(sock, read=True, write=True, timeout=sock.gettimeout()):
                raise TimeoutError("timed out while the body was sent")
            if wait_for_read(sock, timeout=0.0):
                self._leave_body()
            data = data[sock.send(data) :]

    def _leave_body(self, cause: OSError | None = None) -> None:
        """urllib3 takes a broken pipe for what it is here: a reason to go and read the answer."""
        self._cut_off = True
        raise BrokenPipeError("the server answered before the body was sent") from cause

    def getresponse(self) -> Any:
        self._in_body = False
        return super().getresponse()

    @property
    def is_connected(self) -> bool:
        """The pool asks this before it uses a connection again."""
        return super().is_connected and not self._cut_off

    def close(self) -> None:
        super().close()
        self._in_body = self._cut_off = False


class _AttentiveTls(_Attentive, HTTPSConnection):
    # TLS 1.3 session tickets make a socket readable long before there is an answer: a failing send tells.
    looks_back = False


class PlainPool(HTTPConnectionPool):
    """The pool for http."""

    ConnectionCls = _Attentive


class TlsPool(HTTPSConnectionPool):
    """The pool for https."""

    ConnectionCls = _AttentiveTls
