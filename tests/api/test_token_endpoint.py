"""The token endpoint: client credentials in the body or as HTTP Basic, answers and errors of RFC 6749."""

import base64
from urllib.parse import urlencode

import pytest

from api.calls import TOKEN_PATH as PATH
from harness import http

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def reader(server):
    """A client that may only read."""
    return server.create_client("--scope", "packages:read", name="token-reader")


def ask(server, path=PATH, headers=None, **fields):
    fields = {"grant_type": "client_credentials"} | fields
    body = urlencode({name: value for name, value in fields.items() if value is not None}).encode()
    return http(server, "POST", path, body=body, headers=FORM | (headers or {}), token=None)


def in_body(server, **fields):
    return ask(server, client_id=server.client_id, client_secret=server.client_secret, **fields)


def as_basic(client_id, secret):
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


def refused_by_oauth(answer, status, error):
    assert answer.status == status, answer.body
    assert answer.headers["content-type"].startswith("application/json")
    assert "no-store" in answer.headers["cache-control"]
    assert answer.json["error"] == error
    assert set(answer.json) <= {"error", "error_description", "error_uri"}


def check_token(server, answer, scopes="packages:read packages:write"):
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"].startswith("application/json")
    assert "no-store" in answer.headers["cache-control"]
    granted = answer.json
    assert granted["token_type"].lower() == "bearer"
    assert granted["expires_in"] == 3600
    assert isinstance(granted["expires_in"], int)
    assert set(granted["scope"].split()) == set(scopes.split())
    for method, scope in (("GET", "packages:read"), ("POST", "packages:write")):
        path = "/api/v2beta/packages" if method == "GET" else "/api/otarium/v1/packages/references"
        body = b"{}" if method == "POST" else None
        answer = http(server, method, path, body=body, token=granted["access_token"])
        assert answer.status == ((200 if method == "GET" else 400) if scope in scopes else 403)


def test_the_secret_in_the_body_gives_a_token_with_all_scopes_of_the_client(server):
    check_token(server, in_body(server))


def test_the_secret_as_http_basic_gives_one_too(server):
    check_token(server, ask(server, headers=as_basic(server.client_id, server.client_secret)))
    # RFC 6749 2.3.1: both parts are form-encoded before they are joined.
    parts = ("".join(f"%{ord(char):02X}" for char in part) for part in server._client)
    check_token(server, ask(server, headers=as_basic(*parts)))


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ("packages:read", "packages:read"),
        ("packages:write packages:read", "packages:read packages:write"),
        ("read:packages", "packages:read"),
        ("write:packages", "packages:write"),
        ("read:packages packages:write", "packages:read packages:write"),
        ("", "packages:read packages:write"),
    ],
)
def test_a_scope_may_be_asked_for_in_either_spelling(server, asked, granted):
    check_token(server, in_body(server, scope=asked), granted)


@pytest.mark.parametrize(
    "scope",
    ["write:updates", "packages", "packages:read write:updates", "openid", "packages:*", "PACKAGES:READ"],
)
def test_any_other_scope_is_invalid_scope(server, scope):
    refused_by_oauth(in_body(server, scope=scope), 400, "invalid_scope")


def test_a_client_gets_no_scope_that_it_does_not_have(server, reader):
    client_id, secret = reader
    check_token(server, ask(server, client_id=client_id, client_secret=secret), "packages:read")
    for scope in ("packages:write", "read:packages write:packages"):
        answer = ask(server, client_id=client_id, client_secret=secret, scope=scope)
        refused_by_oauth(answer, 400, "invalid_scope")


def test_wrong_credentials_are_invalid_client_and_tell_nothing(server):
    wrong = [
        ask(server, client_id=server.client_id, client_secret="wrong"),
        ask(server, client_id=server.client_id, client_secret=""),
        ask(server, client_id=server.client_id),
        ask(server, client_id="client-none", client_secret=server.client_secret),
        ask(server, headers=as_basic(server.client_id, "wrong")),
        ask(server, headers=as_basic("client-none", "x")),
        ask(server, headers={"Authorization": "Basic nonsense!"}),
        ask(server, headers={"Authorization": "Basic "}),
        ask(server),
    ]
    for answer in wrong:
        refused_by_oauth(answer, 401, "invalid_client")
        assert answer.headers["www-authenticate"].startswith("Basic")
    assert wrong[0].body == wrong[3].body == wrong[4].body


@pytest.mark.parametrize(
    ("grant_type", "error"),
    [
        ("password", "unsupported_grant_type"),
        ("authorization_code", "unsupported_grant_type"),
        (None, "invalid_request"),
    ],
)
def test_only_client_credentials_are_granted(server, grant_type, error):
    refused_by_oauth(in_body(server, grant_type=grant_type), 400, error)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff=\xff",
        b"grant_type=client_credentials&grant_type=client_credentials",
        b'{"grant_type":"x"}',
        b"&" * 99,
        b"a=" + b"x" * 2_000_000,
    ],
    ids=range(6),
)
def test_a_body_that_is_no_form_is_invalid_request(server, body):
    answer = http(server, "POST", PATH, body=body, headers=FORM, token=None)
    assert answer.status in (400, 413)
    if answer.status == 400:
        refused_by_oauth(answer, 400, "invalid_request")


def test_the_form_needs_no_content_type(server):
    body = urlencode(
        {
            "grant_type": "client_credentials",
            "client_id": server.client_id,
            "client_secret": server.client_secret,
        }
    )
    check_token(server, http(server, "POST", PATH, body=body.encode(), token=None))


def test_the_document_points_at_the_endpoint(server):
    schemes = http(server, "GET", "/openapi.json", token=None).json["components"]["securitySchemes"]
    assert schemes["Oauth2"]["flows"]["clientCredentials"]["tokenUrl"] == server.url + PATH
