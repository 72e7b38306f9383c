"""The published OpenAPI document.

Query parameters and bodies come from the structs of `wire`, names of operations and schemas are the
contract's, so that the official generator makes the documented client out of it (a golden test does).
"""

from typing import Any

from otarium import __version__
from otarium.web import openapi_sources, wire
from otarium.web.openapi_operations import ERRORS, JSON, operation
from otarium.web.openapi_schemas import path_parameter, query_parameters, ref, schemas


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
            "schemas": schemas(ERRORS.values()),
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
            "get": operation(
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
            "get": operation(
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
            "get": operation(
                "get_packages_external_refresh_source_file_name",
                "Refresh metadata from an external package source",
                parameters=[path_parameter("source_file_name", "With or without `.json`.")],
                failures=("400", "404", "409", "502"),
            )
        },
        **openapi_sources.paths(f"{base_url}/api/otarium/v1"),
        "/packages/references": {
            "servers": [{"url": f"{base_url}/api/otarium/v1"}],
            "post": operation(
                "post_packages_references",
                "Add a package whose bytes live elsewhere",
                result="Package",
                failures=("400", "409", "413", "415"),
                body={JSON: {"schema": ref("PackageReference")}},
                tag="Otarium",
            ),
        },
    }


def _one_package() -> dict[str, Any]:
    parameters = [path_parameter("packageId", "`{name}-{version}`; a slash inside is sent as %2F.")]
    return {
        "get": operation(
            "get_packages_packageid",
            "Retrieve metadata about one package",
            parameters=parameters,
            result="Package",
            failures=("400", "404"),
        ),
        "delete": operation(
            "delete_packages_packageid",
            "Delete a package",
            parameters=parameters,
            failures=("400", "404", "409", "412"),
        ),
        "patch": operation(
            "patch_packages_packageid",
            "Edit metadata about a package",
            parameters=parameters,
            result="Package",
            failures=("400", "404", "409", "412", "413", "415"),
            body={JSON: {"schema": ref("EditPackage")}},
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
    return operation(
        "post_packages",
        "Upload a new package",
        parameters=[*query_parameters(wire.UploadQuery), length],
        result="Package",
        failures=("400", "409", "411", "413", "507"),
        body=octets,
    )


def _information() -> dict[str, Any]:
    made = operation(
        "get_packages_external_info", "Fetch information about external package sources", failures=("404",)
    )
    schema = {"type": "object", "additionalProperties": ref("DelegationInfo")}
    made["responses"]["200"] = {"description": "By source", "content": {JSON: {"schema": schema}}}
    return made
