"""A proxy that counts: what a client downloads, byte by byte, without looking into the client."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Counted:
    """`url` is where clients go; `metadata` the bytes of files that are not targets, since `start`."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.start()

    def start(self) -> None:
        self.metadata, self.requests = 0, 0

    def add(self, path: str, size: int) -> None:
        self.requests += 1
        if "/targets/" not in path:
            self.metadata += size


@contextmanager
def counting(port: int) -> Iterator[Counted]:
    """In front of the server on a loopback port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            connection = HTTPConnection("127.0.0.1", port)
            connection.putrequest("GET", self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() != "accept-encoding":
                    connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            counted.add(self.path, len(body))
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.handle_error = lambda *_: None  # type: ignore[method-assign] # clients close as they like
    counted = Counted(proxy.server_port)
    thread = threading.Thread(target=proxy.serve_forever)
    thread.start()
    try:
        yield counted
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
