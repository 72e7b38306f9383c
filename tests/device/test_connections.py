"""Devices keep their connections open between polls; whoever comes next is answered all the same."""

import resource
import socket
from contextlib import ExitStack

from harness import http

IDLE = 1500


def test_a_new_device_is_answered_while_many_others_stay_connected(server):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with ExitStack() as others:
            for _ in range(IDLE):
                other = others.enter_context(socket.create_connection(("127.0.0.1", server.port), 10))
                other.sendall(b"GET /repo/timestamp.json HTTP/1.1\r\nHost: device\r\n\r\n")
                assert other.recv(12) == b"HTTP/1.1 200"
            assert http(server, "GET", "/repo/timestamp.json", token=None).status == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
