"""The administration of external package sources in the OpenAPI document."""

from typing import Any

from otarium.web import wire_sources
from otarium.web.openapi_operations import JSON, operation
from otarium.web.openapi_schemas import path_parameter, query_parameters, ref

_WRONG = ("400", "413", "415")
_NAME = [path_parameter("name", "With or without `.json`.")]


def paths(base_url: str) -> dict[str, Any]:
    """Keyed by path below `base_url`."""
    servers = {"servers": [{"url": base_url}]}
    return {path: servers | calls for path, calls in (_all() | _one()).items()}


def _call(identifier: str, summary: str, *failures: str, **more: Any) -> dict[str, Any]:
    return operation(identifier, summary, failures=failures, tag="Sources", **more)


def _taking(schema: str) -> dict[str, Any]:
    return {JSON: {"schema": ref(schema)}}


def _all() -> dict[str, Any]:
    return {
        "/sources": {
            "get": _call("get_sources", "External package sources in search order", result="Sources"),
            "post": _call(
                "post_sources",
                "Add an external package source from its published bundle, and fetch it",
                "409",
                *_WRONG,
                result="Source",
                body=_taking("NewSource"),
            ),
            "put": _call(
                "put_sources",
                "Put the sources in order",
                *_WRONG,
                result="Sources",
                body=_taking("SourceOrder"),
            ),
        },
        "/bundle": {
            "get": _call(
                "get_bundle",
                "What another repository adds to trust the packages of this one",
                "400",
                "409",
                parameters=query_parameters(wire_sources.BundleQuery),
                result="Bundle",
            )
        },
    }


def _one() -> dict[str, Any]:
    return {
        "/sources/{name}": {
            "get": _call("get_sources_name", "One source", "404", parameters=_NAME, result="Source"),
            "patch": _call(
                "patch_sources_name",
                "Edit how a source is fetched and shown",
                "404",
                *_WRONG,
                parameters=_NAME,
                result="Source",
                body=_taking("EditSource"),
            ),
            "delete": _call("delete_sources_name", "Stop trusting a source", "404", parameters=_NAME),
        },
        "/sources/{name}/refresh": {
            "post": _call(
                "post_sources_name_refresh",
                "Fetch a source now",
                "400",
                "404",
                "409",
                "502",
                parameters=_NAME,
                result="Source",
            )
        },
    }
