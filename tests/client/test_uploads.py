"""Bodies of every kind, streamed; and servers that answer before they have read them."""

import hashlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import torizon_io_api
from client.stub import Answer, Stub, error, package
from torizon_io_api import PackagesApi
from torizon_io_api.rest import ApiException

CONTENT = bytes(range(256)) * 3000  # a little more than two blocks, and no multiple of one


def opened_in_the_middle(path: Path) -> io.BufferedReader:
    file = path.open("rb")
    file.seek(5)
    return file


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (lambda path: str(path), CONTENT),
        (lambda path: path, CONTENT),
        (lambda path: path.read_bytes(), CONTENT),
        (lambda path: bytearray(path.read_bytes()), CONTENT),
        (lambda path: memoryview(path.read_bytes()), CONTENT),
        (lambda path: ("firmware.bin", path.read_bytes()), CONTENT),
        (lambda path: io.BytesIO(path.read_bytes()), CONTENT),
        (lambda path: opened_in_the_middle(path), CONTENT[5:]),
        (lambda path: b"", b""),
    ],
    ids=["str", "path", "bytes", "bytearray", "memoryview", "pair", "BytesIO", "file", "empty"],
)
def test_a_body_of_any_kind_arrives_whole_and_its_length_is_found(
    stub: Stub, api: PackagesApi, tmp_path: Path, body: Callable[[Path], object], expected: bytes
) -> None:
    path = tmp_path / "firmware.bin"
    path.write_bytes(CONTENT)
    stub.answer(Answer(value=package()))
    api.post_packages("a", "1", "BINARY", body=body(path))  # type: ignore[arg-type]
    (seen,) = stub.seen
    assert seen.sha256 == hashlib.sha256(expected).hexdigest()
    assert seen.headers["Content-Length"] == str(len(expected))


def test_a_pipe_is_streamed_when_its_length_is_given(stub: Stub, api: PackagesApi) -> None:
    stub.answer(Answer(value=package()))
    process = subprocess.Popen([sys.executable, "-c", "print('x' * 299999)"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as pipe:
        api.post_packages("a", "1", "BINARY", 300000, pipe)
    process.wait()
    assert stub.seen[0].length == 300000


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({}, "body is missing"),
        ({"content_length": 56}, "body is missing"),
        ({"content_length": 56, "body": b"abc"}, "content_length is 56 but the body has 3 bytes"),
        ({"body": io.BufferedRWPair(io.BytesIO(), io.BytesIO())}, "cannot tell its size"),
        ({"body": "/dev/null"}, "not a regular file"),
    ],
)
def test_a_body_that_cannot_be_sent_is_refused_before_anything_is(
    stub: Stub, api: PackagesApi, arguments: dict[str, object], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        api.post_packages("a", "1", "BINARY", **arguments)  # type: ignore[arg-type]
    assert stub.seen == []


@pytest.mark.parametrize("body", [io.StringIO("text"), 7, ["x"]])
def test_text_and_other_objects_are_no_bodies(stub: Stub, api: PackagesApi, body: object) -> None:
    with pytest.raises(TypeError):
        api.post_packages("a", "1", "BINARY", body=body)  # type: ignore[arg-type]
    assert stub.seen == []


def test_a_missing_file_is_said_to_be_missing(api: PackagesApi, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        api.post_packages("a", "1", "BINARY", body=tmp_path / "nothing")


@pytest.mark.parametrize("change", [-1000, +1000])
def test_a_file_that_changes_its_size_while_it_is_sent_is_not_taken_for_whole(
    stub: Stub, api: PackagesApi, tmp_path: Path, change: int
) -> None:
    path = tmp_path / "firmware.bin"
    path.write_bytes(CONTENT)
    stub.answer(Answer(value=package()))
    with pytest.raises(ValueError, match="the body"):
        api.post_packages(
            "a", "1", "BINARY", body=path, progress=lambda *_: os.truncate(path, len(CONTENT) + change)
        )
    assert all(seen.length < len(CONTENT) for seen in stub.seen)


def test_progress_rises_to_the_whole(stub: Stub, api: PackagesApi) -> None:
    stub.answer(Answer(value=package()))
    calls: list[tuple[int, int]] = []
    api.post_packages("a", "1", "BINARY", body=CONTENT, progress=lambda *call: calls.append(call))
    assert calls == sorted(set(calls))
    assert len(calls) > 1
    assert calls[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("status", [401, 409, 413, 503])
@pytest.mark.parametrize("keep_open", [False, True], ids=["closes", "stops-reading"])
def test_an_early_answer_to_a_big_upload_is_the_exception_it_stands_for(
    stub: Stub, api: PackagesApi, tmp_path: Path, pauses: list[float], status: int, keep_open: bool
) -> None:
    path = tmp_path / "firmware.bin"
    path.touch()
    os.truncate(path, 256 << 20)
    refusal = error(status, "not this one")
    stub.answer(Answer(status, refusal.value, early=True, keep_open=keep_open))
    with pytest.raises(ApiException, match="not this one") as caught:
        api.post_packages("a", "1", "BINARY", body=path)
    assert caught.value.status == status


def test_after_an_early_answer_the_next_call_gets_its_own_answer(stub: Stub, api: PackagesApi) -> None:
    stub.answer(
        Answer(409, error(409, "exists").value, early=True, keep_open=True), Answer(value=package("other"))
    )
    with pytest.raises(torizon_io_api.ConflictException):
        api.post_packages("a", "1", "BINARY", body=bytes(64 << 20))
    assert api.get_packages_packageid("other-1.0").name == "other"


def test_a_server_that_just_goes_away_is_an_exception_with_status_0(stub: Stub, api: PackagesApi) -> None:
    stub.answer(Answer(drop=True, early=True))
    with pytest.raises(ApiException) as caught:
        api.post_packages("a", "1", "BINARY", body=bytes(64 << 20))
    assert caught.value.status == 0


def test_a_server_that_stops_reading_is_left_after_the_read_timeout(stub: Stub, api: PackagesApi) -> None:
    stub.answer(Answer(drop=True, early=True, keep_open=True))
    with pytest.raises(ApiException, match="timed out") as caught:
        api.post_packages("a", "1", "BINARY", body=bytes(64 << 20), _request_timeout=(5, 0.3))
    assert caught.value.status == 0


CHILD = """
import resource, sys
import torizon_io_api
from torizon_io_api import ApiClient, Configuration, PackagesApi
host, path = sys.argv[1:]
with ApiClient(Configuration(host=host)) as client:
    api = PackagesApi(client)
    api.get_packages()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    api.post_packages("a", "1", "BINARY", body=path, progress=lambda sent, total: None)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_an_upload_of_1_gib_takes_less_than_64_mib_of_memory(stub: Stub, tmp_path: Path) -> None:
    path = tmp_path / "image.bin"
    path.touch()
    os.truncate(path, 1 << 30)
    empty = {"values": [], "total": 0, "offset": 0, "limit": 50}
    stub.answer(Answer(value=empty), Answer(value=package()))
    child = subprocess.run(
        [sys.executable, "-c", CHILD, stub.host, str(path)], capture_output=True, text=True, check=True
    )
    assert stub.seen[1].length == 1 << 30
    assert int(child.stdout) < 64 * 1024, "KiB"
