"""A server of the device tests' own, with two workers: what one of them published, the other must serve."""

import contextlib
import itertools
import threading
import time

import pytest

from harness import running_server, upload


@pytest.fixture(scope="package")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("device") / "data", workers=2) as running:
        yield running


@pytest.fixture
def odd_meta():
    """What a careless signer would lose: escapes, non-ASCII text, depth, and values that are not strings."""
    return {
        "note": 'line\nbreak "quoted" back\\slash tab\t / é 日本 \x7f \x01 \\u007f',
        "größe \x7f\n": ["", None, True, 2**53 - 1, -1, {"b": {}, "a": []}],
        "smile": "😀\uffee",
        "__proto__": {"toJSON": "x", "constructor": 1},
        "": "no name",
        "10": "before 9",
        "9": "after 10",
    }


@pytest.fixture
def busy():
    """`with busy(server)`: another thread publishes as fast as it can, and must not fail either."""

    @contextlib.contextmanager
    def publishing(server):
        stop, failures, count = threading.Event(), [], itertools.count()
        mark = time.monotonic_ns()

        def publish():
            while not stop.is_set():
                try:
                    upload(server, f"busy-{mark}", str(next(count)), b"x")
                except Exception as error:
                    failures.append(error)
                    return

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        assert not failures, failures

    return publishing
