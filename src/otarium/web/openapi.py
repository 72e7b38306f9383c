"""The published OpenAPI document.

Query parameters and bodies come from the structs of `wire`, names of operations and schemas are the
contract's, so that the official generator makes the documented client out of it (a golden test does).
"""

from typing import Any

from otarium import __version__
from otarium.web import wire
from otarium.web.openapi_schemas import path_parameter, query_parameters, ref, schemas

_JSON = "application/json"
_ERRORS = {
    "400": "BadRequestRepr",
    "401": "UnauthorizedRepr",
    "403": "ForbiddenRepr",
    "404": "NotFoundRepr",
    "409": "ConflictRepr",
    "411": "LengthRequiredRepr",
    "412": "PreconditionFailedRepr",
    "413": "PayloadTooLargeRepr",
    "415": "UnsupportedMediaTypeRepr",
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
    "503": "Try again later",
    "507": "The disk is full",
}


def document(base_url: str, token_path: str) -> dict[str, Any]:
    """The whole document; URLs in it are absolute and start with `base_url`."""
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Otarium",
            "version": __version__,
            "description": (
                "Packages for over-the-air updates. Compatible, call for call, with the Torizon Cloud "
                "Packages API. Every error has one shape: msg, code, description, cause, errorId."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "servers": [
            {"url": f"{base_url}/api/v2beta", "description": "v2beta"},
            {"url": f"{base_url}/api/v2", "description": "v2"},
        ],
        "security": [{"BearerAuth": []}, {"Oauth2": []}],
        "tags": [{"name": "Packages"}, {"name": "Otarium"}],
        "paths": _paths(base_url),
        "components": {
            "schemas": schemas(_ERRORS.values()),
            "securitySchemes": {
                "BearerAuth": {"type": "http", "scheme": "bearer"},
                "Oauth2": {
                    "type": "oauth2",
                    "flows": {
                        "clientCredentials": {
                            "tokenUrl": base_url + token_path,
                            "scopes": {
                                "packages:read": "List and read packages",
                                "packages:write": "Add, edit and delete packages",
                            },
                        }
                    },
                },
            },
        },
    }


def _paths(base_url: str) -> dict[str, Any]:
    return {
        "/packages": {
            "get": _operation(
                "get_packages",
                "Retrieve metadata about packages in your repository",
                parameters=query_parameters(wire.ListQuery),
                result="PaginationResult_Package",
                failures=("400",),
            ),
            "post": _upload(),
        },
        "/packages/{packageId}": _one_package(),
        "/packages_external": {
            "get": _operation(
                "get_packages_external",
                "Retrieve metadata about packages in your repository from other sources",
                parameters=query_parameters(wire.ExternalListQuery),
                result="PaginationResult_ExternalPackage",
                failures=("400",),
            )
            | {"deprecated": True}
        },
        "/packages_external/info": {"get": _information()},
        "/packages_external/refresh/{source_file_name}": {
            "get": _operation(
                "get_packages_external_refresh_source_file_name",
                "Refresh metadata from an external package source",
                parameters=[path_parameter("source_file_name", "With or without `.json`.")],
                failures=("400", "404", "409"),
            )
        },
        "/packages/references": {
            "servers": [{"url": f"{base_url}/api/otarium/v1"}],
            "post": _operation(
                "post_packages_references",
                "Add a package whose bytes live elsewhere",
                result="Package",
                failures=("400", "409", "413", "415"),
                body={_JSON: {"schema": ref("PackageReference")}},
                tag="Otarium",
            ),
        },
    }


def _one_package() -> dict[str, Any]:
    parameters = [path_parameter("packageId", "`{name}-{version}`; a slash inside is sent as %2F.")]
    return {
        "get": _operation(
            "get_packages_packageid",
            "Retrieve metadata about one package",
            parameters=parameters,
            result="Package",
            failures=("400", "404"),
        ),
        "delete": _operation(
            "delete_packages_packageid",
            "Delete a package",
            parameters=parameters,
            failures=("400", "404", "409", "412"),
        ),
        "patch": _operation(
            "patch_packages_packageid",
            "Edit metadata about a package",
            parameters=parameters,
            result="Package",
            failures=("400", "404", "409", "412", "413", "415"),
            body={_JSON: {"schema": ref("EditPackage")}},
        ),
    }


def _upload() -> dict[str, Any]:
    length = {
        "name": "Content-Length",
        "in": "header",
        "required": True,
        "schema": {"type": "integer", "format": "int64", "minimum": 1},
    }
    octets = {"application/octet-stream": {"schema": {"type": "string", "format": "binary", "minLength": 1}}}
    return _operation(
        "post_packages",
        "Upload a new package",
        parameters=[*query_parameters(wire.UploadQuery), length],
        result="Package",
        failures=("400", "409", "411", "413", "507"),
        body=octets,
    )


def _information() -> dict[str, Any]:
    operation = _operation(
        "get_packages_external_info", "Fetch information about external package sources", failures=("404",)
    )
    schema = {"type": "object", "additionalProperties": ref("DelegationInfo")}
    operation["responses"]["200"] = {"description": "By source", "content": {_JSON: {"schema": schema}}}
    return operation


def _operation(
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
        responses["200"]["content"] = {_JSON: {"schema": ref(result)}}
    for status in sorted({*failures, "401", "403", "503"}):
        content = {_JSON: {"schema": ref(_ERRORS[status])}}
        responses[status] = {"description": _DESCRIPTIONS[status], "content": content}
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "tags": [tag],
        "responses": responses,
    }
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = {"required": True, "content": body}
    return operation
