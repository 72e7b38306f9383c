"""Every error as the one wire shape `{"msg","code","description","cause","errorId"}`.

One table maps the failures of the domain to HTTP. Whatever is not in it is a bug: it is logged with its
errorId and told to nobody.
"""

import logging
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from otarium.domain import errors
from otarium.domain.errors import Refusal, Unavailable
from otarium.services.ports_watch import request_id

log = logging.getLogger(__name__)

STATUS: Mapping[type[Refusal], int] = {
    errors.Invalid: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.PackageNotFound: 404,
    errors.SourceNotFound: 404,
    errors.Timeout: 408,
    errors.Conflict: 409,
    errors.LengthRequired: 411,
    errors.PreconditionFailed: 412,
    errors.TooLarge: 413,
    errors.RangeNotSatisfiable: 416,
    errors.SourceUnsigned: 400,
    errors.SourceExpired: 400,
    errors.SourceOutOfBounds: 400,
    errors.SourceRolledBack: 409,
    errors.SourceUnreachable: 502,
    errors.SourceUnreadable: 502,
    errors.Unavailable: 503,
    errors.StorageFull: 507,
}

_FRAMEWORK_CODES = {
    400: ("invalid_entity", "The request is malformed."),
    404: ("missing_entity", "Nothing is served at this path; see /docs."),
    405: ("method_not_allowed", "This path does not take this method; see /docs."),
    413: ("payload_too_large", "The body is too large."),
    415: ("unsupported_media_type", "This call takes a JSON body; send Content-Type: application/json."),
}
_CLOSING = {408, 411, 413}
"""After these the rest of the request's body would be read as the next request."""


class UnsupportedMediaType(errors.Invalid):
    """HTTP alone knows media types, so this refusal lives here."""

    code = "unsupported_media_type"


class UriTooLong(errors.Invalid):
    code = "uri_too_long"


_STATUS = {**STATUS, UnsupportedMediaType: 415, UriTooLong: 414}


class ErrorBody(msgspec.Struct):
    msg: str
    code: str
    description: str | None
    cause: object
    errorId: str


def render(error: Exception) -> tuple[int, dict[str, str], ErrorBody]:
    """Status, extra headers and body for any exception."""
    error_id = request_id.get() or str(uuid.uuid4())
    if isinstance(error, Refusal):
        status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
        body = ErrorBody(error.message, error.code, error.description, error.cause, error_id)
        return status, _refusal_headers(error, status), body
    if isinstance(error, HTTPException) and error.status_code < 500:
        known = _FRAMEWORK_CODES.get(error.status_code, ("invalid_entity", "The request is malformed."))
        headers = _allow(error)
        return error.status_code, headers, ErrorBody(known[1], known[0], None, None, error_id)
    log.error("internal error %s", error_id, exc_info=error)
    message = f"Something went wrong here; the log has the details under {error_id}."
    return 500, {}, ErrorBody(message, "internal_server_error", None, None, error_id)


def _allow(error: HTTPException) -> dict[str, str]:
    """The methods of the path; OPTIONS is the framework's own and not offered."""
    for name, value in (error.headers or {}).items():
        if name.lower() == "allow":
            return {"allow": ", ".join(one for one in value.split(", ") if one != "OPTIONS")}
    return {}


def _refusal_headers(error: Refusal, status: int) -> dict[str, str]:
    headers = {}
    if isinstance(error, Unavailable):
        headers["retry-after"] = str(error.retry_after)
    if isinstance(error, errors.Unauthenticated):
        headers["www-authenticate"] = 'Bearer realm="otarium"'
    if isinstance(error, errors.RangeNotSatisfiable):
        headers["content-range"] = f"bytes */{error.size}"
    if status in _CLOSING:
        headers["connection"] = "close"
    return headers


def encode(error: Exception) -> tuple[int, dict[str, str], bytes]:
    status, headers, body = render(error)
    headers["x-request-id"] = body.errorId
    # Names are kinds of str, which the encoder does not take by itself.
    return status, headers, msgspec.json.encode(body, enc_hook=str)


def handle(_request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The framework's one exception handler."""
    status, headers, body = encode(error)
    return Response(body, status_code=status, headers=headers, media_type="application/json")
