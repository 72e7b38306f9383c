"""What the server says on stderr: one line per request, with its id, without secrets."""

import json
import logging
import re
import time
import uuid
from contextvars import copy_context
from urllib.parse import quote

import pytest

from harness import PATIENCE, Server, http, running_server, upload
from otarium.domain.errors import Unavailable
from otarium.logs import JsonLines, TextLines
from otarium.services.ports_watch import NoTraces, request_id
from otarium.services.watching import Watching
from repository import FakeClock, Repository


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("logs") / "data"
    with running_server(directory, env={"OTARIUM_LOG_FORMAT": "json"}) as running:
        yield running


def lines(server: Server, asked: str, logger: str = "otarium.access") -> list[dict[str, object]]:
    """The lines of one request; the access line is written after the answer has gone."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        text = server.log.read_text()  # the banner, on stdout, is in it too
        every = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        found = [line for line in every if line.get("requestId") == asked and line["logger"] == logger]
        if found:
            return found
        time.sleep(0.05)
    return []


def test_a_request_has_one_access_line_with_route_status_time_bytes_and_actor(server):
    upload(server, "logged", "1", b"bytes")
    answer = http(server, "GET", "/api/v2beta/packages/logged-1")
    (line,) = lines(server, answer.headers["x-request-id"])
    ms = line.pop("ms")
    assert 0 < ms < 5000
    assert line["actor"].startswith("token:")
    assert line["message"].startswith("GET /api/v2beta/packages/{package_id} 200")
    assert {name: line[name] for name in ("level", "method", "route", "status", "bytes")} == {
        "level": "INFO",
        "method": "GET",
        "route": "/api/v2beta/packages/{package_id}",
        "status": 200,
        "bytes": len(answer.body),
    }


def test_an_id_that_is_a_uuid_is_taken_over_and_stands_as_error_id(server):
    given = uuid.uuid4()
    for spelled in (str(given), given.hex, str(given).upper()):
        answer = http(server, "GET", "/api/v2/packages/none-1", headers={"X-Request-Id": spelled})
        assert answer.headers["x-request-id"] == str(given)
        assert answer.json["errorId"] == str(given)


@pytest.mark.parametrize("given", ["", "1", "x" * 40, "a b", "0d8ef6ec-3f2c4a39-9c2e-9a1a5c8a1f00", '"' * 36])
def test_any_other_id_is_replaced_by_one_of_ours(server, given):
    answer = http(server, "GET", "/api/v2/packages/none-1", headers={"X-Request-Id": given})
    made = answer.headers["x-request-id"]
    assert made != given and str(uuid.UUID(made)) == made == answer.json["errorId"]
    assert lines(server, made)[0]["status"] == 404


def test_neither_tokens_nor_queries_nor_paths_are_logged(server):
    secret = "s3cret" + uuid.uuid4().hex
    http(server, "GET", f"/api/v2/packages?name={secret}", headers={"Cookie": secret})
    http(server, "GET", f"/api/v2/packages/{secret}")
    http(server, "GET", f"/{secret}", token=secret)
    http(server, "POST", f"/auth/realms/ota-users/protocol/openid-connect/token?client_secret={secret}")
    last = http(server, "GET", "/api/v2/packages")
    assert lines(server, last.headers["x-request-id"])
    assert secret not in server.log.read_text()
    assert server.token not in server.log.read_text()


def test_gets_of_devices_and_good_probes_have_no_line(server):
    for path in ("/repo/timestamp.json", "/repo/root.json", "/tuf/1.root.json", "/health/ready", "/metrics"):
        assert http(server, "GET", path, token=None).status == 200
    last = http(server, "GET", "/api/v2/packages")
    assert lines(server, last.headers["x-request-id"])
    text = server.log.read_text().partition("/docs)")[2].partition("\n{")[2]
    assert "/repo" not in text and "/metrics" not in text and "/health/ready 200" not in text


def test_gets_of_devices_have_lines_when_asked_for(tmp_path):
    settings = {"OTARIUM_LOG_DEVICES": "true", "OTARIUM_LOG_FORMAT": "json"}
    with running_server(tmp_path / "data", env=settings) as server:
        for path in ("/repo/timestamp.json", "/repo/none.json"):
            answer = http(server, "GET", path)
            (line,) = lines(server, answer.headers["x-request-id"])
            assert (line["route"], line["status"]) == ("devices", answer.status)


def test_text_is_the_default_and_ends_with_the_id(tmp_path):
    with running_server(tmp_path / "data") as server:
        asked = http(server, "GET", "/api/v2/packages").headers["x-request-id"]
        time.sleep(0.2)
        line = next(line for line in server.log.read_text().splitlines() if asked in line)
    said = r"GET /api/v2/packages 200 [\d.]+ ms \d+ bytes by \S+"
    assert re.fullmatch(rf"[\d-]+ [\d:,]+ INFO otarium\.access: {said} \[{asked}\]", line)


class Told:
    """Meters that remember."""

    def __init__(self) -> None:
        self.rounds: list[tuple[int, int, bool]] = []
        self.jobs: list[tuple[str, bool]] = []

    def published(self, seconds: float, changes: int, waiting: int, failed: bool) -> None:
        self.rounds.append((changes, waiting, failed))

    def job_ended(self, job: str, at: int, failed: bool) -> None:
        self.jobs.append((job, failed))


def test_what_the_publisher_logs_tells_the_request_that_began_the_round(tmp_path):
    meters, seen = Told(), []
    repository = Repository(tmp_path)
    publisher, _ = repository.worker(Watching(meters, NoTraces(), repository.clock))

    def change(tx, now):
        seen.append(request_id.get())
        raise Unavailable("not now")

    context = copy_context()
    context.run(request_id.set, "the first")
    with pytest.raises(Unavailable):
        context.run(publisher.submit, change).result()
    repository.close()
    assert seen == ["the first"]
    assert meters.rounds == [(1, 0, True)]


def test_a_job_that_fails_is_counted_and_fails_as_before():
    meters = Told()
    watching = Watching(meters, NoTraces(), FakeClock())
    watching.job("good", lambda: None)()
    with pytest.raises(ZeroDivisionError):
        watching.job("bad", lambda: 1 // 0)()
    assert meters.jobs == [("good", False), ("bad", True)]


def record(message: str) -> logging.LogRecord:
    return logging.LogRecord("otarium.test", logging.WARNING, __file__, 1, message, (), None)


@pytest.mark.parametrize("formatter", [TextLines(), JsonLines()])
def test_a_message_stays_on_its_line(formatter):
    made = formatter.format(record("one\ntwo\r\x1b[31m\u2028three"))
    assert len(made.splitlines()) == 1
    assert "\x1b" not in made


def test_an_exception_is_one_json_line():
    try:
        raise ValueError(quote("x"))
    except ValueError as error:
        failed = record("failed")
        failed.exc_info = (ValueError, error, error.__traceback__)
    token = request_id.set("an id")
    try:
        made = JsonLines().format(failed)
    finally:
        request_id.reset(token)
    assert "\n" not in made
    assert "ValueError: x" in json.loads(made)["exception"]
    assert json.loads(made)["requestId"] == "an id"
