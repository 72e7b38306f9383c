"""One operation of the OpenAPI document, with the failures that every call shares."""

from typing import Any

from otarium.web.openapi_schemas import ref

JSON = "application/json"
ERRORS = {
    "400": "BadRequestRepr",
    "401": "UnauthorizedRepr",
    "403": "ForbiddenRepr",
    "404": "NotFoundRepr",
    "409": "ConflictRepr",
    "411": "LengthRequiredRepr",
    "412": "PreconditionFailedRepr",
    "413": "PayloadTooLargeRepr",
    "415": "UnsupportedMediaTypeRepr",
    "502": "UpstreamEndpointErrorRepr",
    "503": "ServiceUnavailableRepr",
    "507": "InsufficientStorageRepr",
}
_DESCRIPTIONS = {
    "400": "Bad Request",
    "401": "No valid token",
    "403": "The token lacks the scope",
    "404": "Resource Not Found",
    "409": "Conflict",
    "411": "Length Required",
    "412": "Precondition Failed",
    "413": "Payload Too Large",
    "415": "Unsupported Media Type",
    "502": "The publisher cannot be reached, or what it sent cannot be read",
    "503": "Try again later",
    "507": "The disk is full",
}


def operation(
    name: str,
    summary: str,
    *,
    parameters: list[dict[str, Any]] | None = None,
    result: str | None = None,
    failures: tuple[str, ...] = (),
    body: dict[str, Any] | None = None,
    tag: str = "Packages",
) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": {"description": "Done"}}
    if result:
        responses["200"]["content"] = {JSON: {"schema": ref(result)}}
    for status in sorted({*failures, "401", "403", "503"}):
        content = {JSON: {"schema": ref(ERRORS[status])}}
        responses[status] = {"description": _DESCRIPTIONS[status], "content": content}
    made: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "tags": [tag],
        "responses": responses,
    }
    if parameters:
        made["parameters"] = parameters
    if body:
        made["requestBody"] = {"required": True, "content": body}
    return made
