"""What a fetch takes back: one complete file within its limits of bytes and seconds, or a reason."""

import gc
import gzip
import logging
import resource
import socket
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress

import pytest

from contract.publishers import BLOCK, PRIVATE, Publisher, Script, Seen, endless, publishing, said
from harness import PATIENCE
from otarium.adapters.fetcher import GuardedFetcher
from otarium.domain.delegation import FILE_BYTES
from otarium.domain.errors import SourceUnreachable
from otarium.services.ports_sources import Fetched, FetchRequest

MIB = 1024 * 1024
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\n\r\n"
CHUNK = b"10000\r\n" + BLOCK + b"\r\n"


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with publishing() as running:
        yield running


def fetch(
    publisher: Publisher, limit: int = FILE_BYTES, total: float = 5, **validators: str
) -> Fetched | None:
    fetcher = GuardedFetcher(limit=limit, first_byte_seconds=0.3, total_seconds=total)
    return fetcher.fetch(FetchRequest(publisher.url(), PRIVATE, insecure=True, **validators))  # type: ignore[arg-type]


def refusal(publisher: Publisher, limit: int = FILE_BYTES, total: float = 5) -> str:
    """The message; it names the host and no secret, and nothing printed with it does."""
    with pytest.raises(SourceUnreachable) as caught:
        fetch(publisher, limit, total)
    assert "127.0.0.1" in caught.value.message
    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))
    return caught.value.message


def test_a_file_comes_with_its_validators(publisher: Publisher) -> None:
    publisher.says(said(b"{}", ETag='W/"1"', Last_Modified="Tue, 01 Jul 2025 00:00:00 GMT"))
    assert fetch(publisher) == Fetched(b"{}", 'W/"1"', "Tue, 01 Jul 2025 00:00:00 GMT")
    assert PRIVATE.items() <= publisher.seen[0].headers.items()
    assert not {"if-none-match", "if-modified-since"} & publisher.seen[0].headers.keys()


def test_nothing_changed_is_none(publisher: Publisher) -> None:
    publisher.says(said(status=304))
    assert fetch(publisher, etag='"1"') is None
    assert fetch(publisher, last_modified="yesterday") is None
    assert publisher.seen[0].headers["if-none-match"] == '"1"'
    assert publisher.seen[1].headers["if-modified-since"] == "yesterday"


def test_nothing_changed_is_no_answer_to_a_first_question(publisher: Publisher) -> None:
    publisher.says(said(status=304))
    assert "status 304" in refusal(publisher)


@pytest.mark.parametrize("etag", ['"' + "x" * 2000 + '"', '"\xe4"', '"a\tb"'])
def test_a_validator_that_is_not_short_plain_text_is_not_kept(publisher: Publisher, etag: str) -> None:
    publisher.says(said(b"{}", ETag=etag))
    assert fetch(publisher) == Fetched(b"{}")


@pytest.mark.parametrize("status", [201, 204, 206, 400, 401, 403, 404, 410, 418, 500, 503])
def test_any_other_status_is_named_and_its_body_is_not_repeated(publisher: Publisher, status: int) -> None:
    publisher.says(said(b"" if status == 204 else b"<b>call this number</b>", status))
    message = refusal(publisher)
    assert f"status {status}" in message
    assert "number" not in message


def test_a_compressed_answer_is_refused_before_it_is_read(publisher: Publisher) -> None:
    bomb = gzip.compress(bytes(64 * MIB))
    for encoding in ("gzip", "br", "identity, gzip"):
        publisher.says(said(bomb, Content_Encoding=encoding))
        assert "compressed" in refusal(publisher)
    publisher.says(said(b"{}", Content_Encoding="Identity"))
    assert fetch(publisher) == Fetched(b"{}")


def test_a_file_may_be_as_large_as_the_limit_and_not_a_byte_larger(publisher: Publisher) -> None:
    publisher.says(said(b"x" * 1000))
    assert fetch(publisher, limit=1000) == Fetched(b"x" * 1000)
    assert "more than 999 bytes" in refusal(publisher, limit=999)
    publisher.says(UNTIL_CLOSED + b"x" * 1000)
    assert fetch(publisher, limit=1000) == Fetched(b"x" * 1000)
    assert "more than 999 bytes" in refusal(publisher, limit=999)


def test_a_length_above_the_limit_is_refused_without_reading(publisher: Publisher) -> None:
    publisher.script = endless(said(length=9 * MIB), b"x", pause=0.05)
    assert f"more than {8 * MIB} bytes" in refusal(publisher)


@pytest.mark.parametrize(("opening", "piece"), [(CHUNKED, CHUNK), (UNTIL_CLOSED, BLOCK)])
@pytest.mark.parametrize("most", [9 * MIB, 1 << 40])
def test_bytes_are_counted_where_no_length_is_said(
    publisher: Publisher, opening: bytes, piece: bytes, most: int
) -> None:
    publisher.script = endless(opening, piece, most=most)
    assert f"more than {8 * MIB} bytes" in refusal(publisher)


def test_a_length_that_is_a_lie_gains_nothing(publisher: Publisher) -> None:
    publisher.says(said(b"{}", length=3))
    assert "broke off" in refusal(publisher)
    publisher.script = endless(said(b"{}"), BLOCK)
    assert fetch(publisher) == Fetched(b"{}")
    publisher.says(said(b"{}", Content_length="3"))
    assert "HTTP" in refusal(publisher)


@pytest.mark.parametrize(
    "script",
    [
        endless(UNTIL_CLOSED, b"x", pause=0.02),
        endless(said(length=1000), b"x", pause=0.02),
        endless(CHUNKED, b"1\r\nx\r\n", pause=0.02),
        endless(CHUNKED, b"1\r\nx\r\n" * 1000),
        endless(CHUNKED + b"1;", b"x", pause=0.02),
        endless(CHUNKED + b"0\r\n", b"Trailer: x\r\n", pause=0.02),
    ],
    ids=["until closed", "length", "chunks", "many small chunks", "chunk extension", "trailers"],
)
def test_an_answer_that_drips_ends_in_time(publisher: Publisher, script: Script) -> None:
    publisher.script = script
    start = time.monotonic()
    assert "did not finish its answer within 0.4 s" in refusal(publisher, total=0.4)
    assert time.monotonic() - start < PATIENCE


@pytest.mark.parametrize(
    "script",
    [
        lambda seen, connection: time.sleep(1),
        endless(b"", b"H", pause=0.02),
        endless(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n", pause=0.02),
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.02),
    ],
    ids=["silence", "status line", "headers", "promises"],
)
def test_an_answer_that_does_not_begin_is_not_waited_for(publisher: Publisher, script: Script) -> None:
    publisher.script = script
    start = time.monotonic()
    assert "did not begin its answer within 0.3 s" in refusal(publisher)
    assert time.monotonic() - start < PATIENCE


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbroken\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused_and_not_repeated(publisher: Publisher, raw: bytes) -> None:
    publisher.says(raw)
    message = refusal(publisher)
    assert "broke off its answer or does not speak HTTP" in message
    assert "SSH" not in message


def test_a_change_of_protocol_is_refused(publisher: Publisher) -> None:
    publisher.says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
    assert "127.0.0.1" in refusal(publisher)


def test_a_connection_that_is_torn_down_is_told(publisher: Publisher) -> None:
    def script(seen: Seen, connection: socket.socket) -> None:
        connection.sendall(said(length=100))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))

    publisher.script = script
    assert "Connection reset by peer" in refusal(publisher)


def test_secrets_that_come_back_are_not_repeated(
    publisher: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    def script(seen: Seen, connection: socket.socket) -> None:
        connection.sendall(f"HTTP/1.1 {seen.headers['authorization']}\r\n\r\n".encode())

    publisher.script = script
    caplog.set_level(logging.INFO)
    assert "HTTP" in refusal(publisher)
    publisher.script = lambda seen, connection: connection.sendall(
        said(seen.headers["authorization"].encode(), 401)
    )
    assert "Check the request headers" in refusal(publisher)
    assert "s3cr3t" not in caplog.text


@pytest.mark.parametrize("value", ["s3cr3t\r\nX-Evil: 1", "s3cr3t\n", "s3cr3t\0", " s3cr3t", "s3cr3t-\u00e4"])
def test_a_secret_that_cannot_be_sent_is_not_repeated(publisher: Publisher, value: str) -> None:
    with pytest.raises(SourceUnreachable) as caught:
        GuardedFetcher().fetch(FetchRequest(publisher.url(), {"authorization": value}, insecure=True))
    assert "request headers for 127.0.0.1 are not valid" in caught.value.message
    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))
    assert publisher.seen == []


def test_memory_does_not_grow_with_what_is_sent(publisher: Publisher) -> None:
    """Nor does it wait for the garbage collector: a refusal that refers to itself would keep its bytes."""
    scripts = [endless(CHUNKED, CHUNK, most=9 * MIB), endless(UNTIL_CLOSED, BLOCK)]
    taken = 0
    gc.collect()
    gc.disable()
    try:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(20):
            publisher.script = scripts[number % 2]
            with suppress(SourceUnreachable):
                fetch(publisher)
                taken += 1
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    finally:
        gc.enable()
    assert (taken, len(publisher.seen)) == (0, 20)
    assert grown * 1024 < 32 * MIB
