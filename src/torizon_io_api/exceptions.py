"""Everything that a call can raise for what the server, or the way to it, did.

OpenApiException
└── ApiException                    any other status (411, 413, 420, ...); status 0: no answer came
    ├── BadRequestException         400
    ├── UnauthorizedException       401
    ├── ForbiddenException          403
    ├── NotFoundException           404
    ├── ConflictException           409
    ├── UnprocessableEntityException 422
    └── ServiceException            5xx

A wrong argument is a `ValueError` (pydantic's `ValidationError` is one) or a `TypeError` and never reaches
the server.
"""

from collections.abc import Mapping
from http import HTTPStatus

from pydantic import ValidationError

from .models.bad_request_repr import BadRequestRepr
from .models.conflict_repr import ConflictRepr
from .models.error_repr import ErrorRepr
from .models.not_found_repr import NotFoundRepr


class OpenApiException(Exception):
    """The root of the tree."""


class ApiException(OpenApiException):
    """An answer that is not a success, or none (`status` 0, `reason` says why).

    `body` is the answer as text, `data` the same parsed (None when it is not the documented JSON), `headers`
    what came with it. `str()` starts with the server's message for people.
    """

    def __init__(
        self,
        status: int | None = None,
        reason: str | None = None,
        body: str | None = None,
        data: ErrorRepr | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.body = body
        self.data = data
        self.headers = headers

    def __str__(self) -> str:
        if not self.status:
            return self.reason or "no answer from the server"
        if self.data is None:
            return f"{self.reason or 'the server gave no reason'} (HTTP {self.status})"
        details = [f"HTTP {self.status}", self.data.code]
        if self.data.error_id is not None:
            details.append(f"error id {self.data.error_id}")
        return f"{self.data.msg} ({', '.join(details)})"


class BadRequestException(ApiException):
    """400: the request itself is wrong."""


class UnauthorizedException(ApiException):
    """401: no token, or one that is unknown, expired or revoked."""


class ForbiddenException(ApiException):
    """403: the token is good but lacks the scope."""


class NotFoundException(ApiException):
    """404: no such package or source."""


class ConflictException(ApiException):
    """409: something else already has this place."""


class UnprocessableEntityException(ApiException):
    """422: understood, but not acceptable."""


class ServiceException(ApiException):
    """5xx: the server, or something before it, failed."""


_EXCEPTIONS: dict[int, type[ApiException]] = {
    400: BadRequestException,
    401: UnauthorizedException,
    403: ForbiddenException,
    404: NotFoundException,
    409: ConflictException,
    422: UnprocessableEntityException,
}
_MODELS: dict[int, type[ErrorRepr]] = {400: BadRequestRepr, 404: NotFoundRepr, 409: ConflictRepr}


def exception_for(status: int, reason: str | None, headers: Mapping[str, str], raw: bytes) -> ApiException:
    """The exception that stands for this answer, with the error document parsed where it is one."""
    kind = _EXCEPTIONS.get(status, ServiceException if status >= 500 else ApiException)
    try:
        data = _MODELS.get(status, ErrorRepr).from_json(raw)
    except ValidationError:
        data = None
    if 300 <= status < 400:
        reason = (
            f"the server redirects to {headers.get('Location', 'nowhere')}; put the final address into `host`"
        )
    return kind(status, reason or _phrase(status), raw.decode("utf-8", "replace"), data, headers)


def _phrase(status: int) -> str | None:
    """HTTP/1.1 lets a server leave the phrase out, and many do."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Enhance Your Calm: too many requests" if status == 420 else None
