"""The tree of failures. Everything that Otarium refuses on purpose is one of these.

    Refusal                     code on the wire            HTTP
    ├── Invalid                 invalid_entity              400
    ├── Unauthenticated         unauthorized                401
    ├── Forbidden               forbidden                   403
    ├── NotFound                missing_entity              404
    │   ├── PackageNotFound     target_not_found            404
    │   └── SourceNotFound      delegations_not_found       404
    ├── Timeout                 request_timeout             408
    ├── Conflict                conflicting_entity          409
    ├── LengthRequired          length_required             411
    ├── PreconditionFailed      precondition_failed         412
    ├── TooLarge                payload_too_large           413
    ├── RangeNotSatisfiable     range_not_satisfiable       416
    ├── SourceRefused           what a publisher sent is not taken over
    │   ├── SourceUnsigned      payload_signature_invalid   400
    │   ├── SourceExpired       delegation_expired          400
    │   ├── SourceOutOfBounds   invalid_delegated_target    400
    │   ├── SourceRolledBack    invalid_version_bump        409
    │   ├── SourceUnreachable   delegation_remote_fetch_failed  502
    │   └── SourceUnreadable    delegation_remote_parse_failed  502
    └── Unavailable             service_unavailable         503, retry later
        └── StorageFull         insufficient_storage        507, retry later

The HTTP column is held by one table in `otarium.web.errors`; nothing here knows HTTP.
`Broken` is not a refusal: it says that stored state contradicts itself.
"""


class Refusal(Exception):
    """A request that cannot be carried out.

    `message` is one sentence for the person who made the request: what was wrong, with which value,
    and what to do next. `description` and `cause` add detail for programs; `cause` must be JSON-like.
    """

    code = "refused"

    def __init__(self, message: str, *, description: str | None = None, cause: object = None) -> None:
        super().__init__(message)
        self.message = message
        self.description = description
        self.cause = cause


class Invalid(Refusal):
    code = "invalid_entity"


class Unauthenticated(Refusal):
    code = "unauthorized"


class Forbidden(Refusal):
    code = "forbidden"


class NotFound(Refusal):
    code = "missing_entity"


class PackageNotFound(NotFound):
    code = "target_not_found"


class SourceNotFound(NotFound):
    code = "delegations_not_found"


class Timeout(Refusal):
    code = "request_timeout"


class Conflict(Refusal):
    code = "conflicting_entity"


class LengthRequired(Refusal):
    code = "length_required"


class PreconditionFailed(Refusal):
    code = "precondition_failed"


class TooLarge(Refusal):
    code = "payload_too_large"


class RangeNotSatisfiable(Refusal):
    """`size` is the number of bytes that there are."""

    code = "range_not_satisfiable"

    def __init__(self, message: str, *, size: int) -> None:
        super().__init__(message)
        self.size = size


class SourceRefused(Refusal):
    """What an external package source sent, or did not send; the copy from before stays served."""


class SourceUnsigned(SourceRefused):
    code = "payload_signature_invalid"


class SourceExpired(SourceRefused):
    code = "delegation_expired"


class SourceOutOfBounds(SourceRefused):
    code = "invalid_delegated_target"


class SourceRolledBack(SourceRefused):
    code = "invalid_version_bump"


class SourceUnreachable(SourceRefused):
    code = "delegation_remote_fetch_failed"


class SourceUnreadable(SourceRefused):
    code = "delegation_remote_parse_failed"


class Unavailable(Refusal):
    """Not now; `retry_after` is the number of seconds after which a retry makes sense."""

    code = "service_unavailable"

    def __init__(self, message: str, *, retry_after: int = 2, description: str | None = None) -> None:
        super().__init__(message, description=description)
        self.retry_after = retry_after


class StorageFull(Unavailable):
    code = "insufficient_storage"


class Broken(Exception):
    """Stored state contradicts itself (a row without bytes, a hash that differs); never shown to clients."""
