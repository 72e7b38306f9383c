"""Every error has the one shape and an id of its own, whoever found it: the API or its framework."""

import re

import pytest

from api.calls import JSON_BODY, head_of, post, refused, upload_path, wire
from api.traces import nothing_changes
from harness import http, upload


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nothing"),
        ("GET", "/api"),
        ("GET", "/api/v2beta"),
        ("GET", "/api/v1/packages"),
        ("GET", "/api/v2beta/packagesx"),
        ("GET", "/api/v2beta/packages_external/unknown"),
        ("GET", "/api/v2beta/packages_external/refresh"),
        ("DELETE", "/api/v2beta/"),
        ("POST", "/api/otarium/v1/nothing"),
        ("GET", "/..%2f..%2fetc/passwd"),
        ("GET", "/%00"),
        ("GET", "/\\"),
    ],
)
def test_an_unknown_route_is_404(server, method, path):
    refused(http(server, method, path), 404)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/api/v2beta/packages"),
        ("PUT", "/api/v2beta/packages/errors-1"),
        ("POST", "/api/v2/packages/errors-1"),
        ("POST", "/api/v2/packages_external"),
        ("DELETE", "/api/v2/packages_external/info"),
        ("POST", "/api/v2/packages_external/refresh/x"),
        ("GET", "/api/otarium/v1/packages/references"),
        ("GET", "/auth/realms/ota-users/protocol/openid-connect/token"),
        ("POST", "/openapi.json"),
        ("POST", "/health/ready"),
        ("TRACE", "/api/v2beta/packages"),
        ("BREW", "/api/v2beta/packages"),
    ],
)
def test_a_method_that_a_path_does_not_take_is_405_and_the_others_are_named(server, method, path):
    answer = http(server, method, path, body=b"" if method in ("POST", "PUT") else None)
    refused(answer, 405, "method_not_allowed")
    assert answer.headers["allow"]
    assert method not in answer.headers["allow"]


@pytest.mark.parametrize("path", ["/api/v2beta/packages/errors-1", "/api/otarium/v1/packages/references"])
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_entity"),
        (b"[" * 100_000, 400, "invalid_entity"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 400, "invalid_entity"),
        (b'{"a":1,"a":2}', 400, "invalid_entity"),
        (b'{"comment":"' + b"x" * 1024 * 1024 + b'"}', 413, "payload_too_large"),
    ],
    ids=["half", "deep list", "deep object", "twice", "large"],
)
def test_a_json_body_that_cannot_be_taken_is_400_or_413(server, path, body, status, code):
    method = "PATCH" if path.endswith("errors-1") else "POST"
    with nothing_changes(server):
        refused(http(server, method, path, body=body, headers=JSON_BODY), status, code)


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x", "json"],
)
def test_a_json_call_with_another_content_type_is_415(server, kind):
    upload(server, "errors", "1", b"x")
    with nothing_changes(server):
        for method, path in (
            ("PATCH", "/api/v2beta/packages/errors-1"),
            ("POST", "/api/otarium/v1/packages/references"),
        ):
            answer = http(server, method, path, body=b'{"comment":"x"}', headers={"Content-Type": kind})
            refused(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("chunk", [b"zz\r\nhello\r\n", b"5\r\nhelloXX", b"ffffffffffffffffff\r\n"])
def test_a_bad_chunk_ends_in_an_error_or_a_closed_connection_and_changes_nothing(server, chunk):
    upload(server, "errors", "1", b"x")
    with nothing_changes(server), wire(server) as connection:
        headers = {"Transfer-Encoding": "chunked", **JSON_BODY}
        connection.send(head_of(server, "PATCH", "/api/v2beta/packages/errors-1", headers) + chunk)
        answer = connection.read_answer()
        if answer.status and answer.body:
            refused(answer, 400)
        assert answer.status in (0, 400)


@pytest.mark.parametrize("path", ["/api/v2beta/packages?x=", "/api/v2beta/packages/", "/repo/targets/", "/x"])
def test_more_than_8_kibibytes_of_path_and_query_are_414(server, path):
    refused(http(server, "GET", path.ljust(8300, "y")), 414, "uri_too_long")
    assert http(server, "GET", path.ljust(8100, "y")).status != 414


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v2beta/packages/errors-none", 404, "target_not_found"),
        ("/api/v2beta/packages?limit=x", 400, "invalid_entity"),
        ("/api/v2beta/packages_external/refresh/x", 404, "delegations_not_found"),
        ("/repo/targets/errors-none", 404, "target_not_found"),
        ("/repo/7.root.json", 404, "missing_entity"),
    ],
)
def test_the_code_is_the_one_that_clients_know(server, path, status, code):
    refused(http(server, "GET", path), status, code)


def test_every_error_has_an_id_of_its_own(server):
    answers = [http(server, "GET", "/nothing") for _ in range(20)]
    answers += [http(server, "GET", "/api/v2beta/packages?limit=x") for _ in range(20)]
    assert len({answer.json["errorId"] for answer in answers}) == 40


def test_an_error_echoes_nothing_that_a_terminal_or_a_log_would_act_on(server):
    for path in ("/api/v2beta/packages/%1b%5b31m%0d%0aX:%20y", "/repo/targets/%1b%0a", "/repo/%0a.json"):
        answer = http(server, "GET", path)
        assert re.search(rb"[\x00-\x1f\x7f]", answer.body) is None
        assert "\x1b" not in answer.json["msg"]
        assert "x" not in answer.headers
    answer = post(server, "a\x1b[31mb", "1", b"x")
    assert "\x1b" not in refused(answer, 400)["msg"]


def test_a_head_request_has_the_status_of_its_get_and_no_body(server):
    for path in ("/repo/nothing.json", "/repo/targets/nothing"):
        assert http(server, "HEAD", path).status == 404
        assert http(server, "HEAD", path).body == b""


def test_a_refused_upload_over_a_kept_connection_confuses_no_later_request(server):
    upload(server, "errors", "keep", b"12345")
    with wire(server) as connection:
        path = upload_path("errors", "keep", ["other"])
        smuggled = b"DELETE /api/v2beta/packages/errors-keep HTTP/1.1\r\n\r\n"
        connection.send(head_of(server, "POST", path, {"Content-Length": len(smuggled)}) + smuggled)
        refused(connection.read_answer(), 409, "conflicting_entity")
        connection.send(head_of(server, "GET", "/api/v2beta/packages/errors-keep", {}))
        answer = connection.read_answer()
        assert answer.status in (0, 200)  # answered, or the connection was closed
    assert http(server, "GET", "/api/v2beta/packages/errors-keep").status == 200
