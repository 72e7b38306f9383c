"""The token endpoint: OAuth 2.0 client credentials (RFC 6749 4.4), and nothing else of OAuth.

The secret comes in the body or as HTTP Basic; existing clients do either. Errors have the shape of
RFC 6749 5.2, not the API's.
"""

import base64
import binascii
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import msgspec
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler

from otarium.domain.access import Credential, Scope
from otarium.domain.errors import Invalid, Refusal, Unauthenticated
from otarium.services.clients import ACCESS_TOKEN_SECONDS
from otarium.web import limits
from otarium.web.context import Web

_NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}


class OAuthError(Exception):
    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status, self.error, self.description = status, error, description


def token_route(path: str) -> HTTPRouteHandler:
    @post(path, name="token", status_code=200)
    async def token(request: Request[Any, Any, Any], web: Web) -> Response[bytes]:
        try:
            return await _issue(request, web)
        except OAuthError as error:
            content = {"error": error.error, "error_description": error.description}
            headers = dict(_NO_STORE)
            if error.status == 401:
                headers["www-authenticate"] = 'Basic realm="otarium"'
            return _answer(content, error.status, headers)

    return token


def _answer(content: object, status: int, headers: dict[str, str]) -> Response[bytes]:
    encoded = msgspec.json.encode(content)
    return Response(encoded, status_code=status, headers=headers, media_type="application/json")


async def _issue(request: Request[Any, Any, Any], web: Web) -> Response[bytes]:
    form = await _form(request, web)
    if form.get("grant_type") != "client_credentials":
        kind = "unsupported_grant_type" if form.get("grant_type") else "invalid_request"
        raise OAuthError(400, kind, "grant_type must be client_credentials.")
    try:
        client = await _client(request, web, form)
        scopes = _scopes(client, form.get("scope", ""))
        issued = await web.writing(web.clients.issue_access_token, client, scopes)
    except Unauthenticated as refusal:
        raise OAuthError(401, "invalid_client", str(refusal)) from None
    content = {
        "access_token": issued.secret,
        "expires_in": ACCESS_TOKEN_SECONDS,
        "refresh_expires_in": 0,
        "token_type": "Bearer",
        "not-before-policy": 0,
        "scope": " ".join(sorted(scopes)),
    }
    return _answer(content, 200, _NO_STORE)


async def _form(request: Request[Any, Any, Any], web: Web) -> dict[str, str]:
    try:
        raw = (await limits.read_body(request.receive, web.pace.idle_seconds)).decode()
        fields = parse_qs(raw, keep_blank_values=True, strict_parsing=bool(raw), max_num_fields=50)
    except (Refusal, ValueError):
        raise OAuthError(400, "invalid_request", "The body must be form-encoded UTF-8.") from None
    if any(len(values) > 1 for values in fields.values()):
        raise OAuthError(400, "invalid_request", "A parameter is given twice.")
    return {name: values[0] for name, values in fields.items()}


async def _client(request: Request[Any, Any, Any], web: Web, form: dict[str, str]) -> Credential:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        if "client_secret" in form:
            raise OAuthError(400, "invalid_request", "Send the secret in the body or as Basic, not both.")
        try:
            client_id, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            raise OAuthError(401, "invalid_client", "The Basic credentials cannot be decoded.") from None
        client_id, secret = unquote_plus(client_id), unquote_plus(secret)
    else:
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
    return await web.reading(web.clients.authenticate_client, client_id, secret)


def _scopes(client: Credential, asked: str) -> frozenset[Scope]:
    """All of the client's when none is asked for."""
    try:
        scopes = frozenset(Scope.parse(one) for one in asked.split())
    except Invalid as refusal:
        raise OAuthError(400, "invalid_scope", str(refusal)) from None
    if not scopes <= client.scopes:
        missing = ", ".join(sorted(scopes - client.scopes))
        raise OAuthError(400, "invalid_scope", f"This client does not have {missing}.")
    return scopes or client.scopes
