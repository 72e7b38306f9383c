"""The administration of external package sources in the OpenAPI document."""

from typing import Any

from otarium.web import wire_sources
from otarium.web.openapi_operations import JSON, operation
from otarium.web.openapi_schemas import path_parameter, query_parameters, ref


def paths(base_url: str) -> dict[str, Any]:
    """Keyed by path below `base_url`."""
    servers = {"servers": [{"url": base_url}]}
    name = [path_parameter("name", "With or without `.json`.")]
    wrong = ("400", "413", "415")

    def call(identifier: str, summary: str, *failures: str, **more: Any) -> dict[str, Any]:
        return operation(identifier, summary, failures=failures, tag="Sources", **more)

    def taking(schema: str) -> dict[str, Any]:
        return {JSON: {"schema": ref(schema)}}

    return {
        "/sources": servers
        | {
            "get": call("get_sources", "External package sources in search order", result="Sources"),
            "post": call(
                "post_sources",
                "Add an external package source from its published bundle, and fetch it",
                "409",
                *wrong,
                result="Source",
                body=taking("NewSource"),
            ),
            "put": call(
                "put_sources",
                "Put the sources in order",
                *wrong,
                result="Sources",
                body=taking("SourceOrder"),
            ),
        },
        "/bundle": servers
        | {
            "get": call(
                "get_bundle",
                "What another repository adds to trust this one's own packages",
                "400",
                "409",
                parameters=query_parameters(wire_sources.BundleQuery),
                result="Bundle",
            )
        },
        "/sources/{name}": servers
        | {
            "get": call("get_sources_name", "One source", "404", parameters=name, result="Source"),
            "patch": call(
                "patch_sources_name",
                "Edit how a source is fetched and shown",
                "404",
                *wrong,
                parameters=name,
                result="Source",
                body=taking("EditSource"),
            ),
            "delete": call("delete_sources_name", "Stop trusting a source", "404", parameters=name),
        },
        "/sources/{name}/refresh": servers
        | {
            "post": call(
                "post_sources_name_refresh",
                "Fetch a source now",
                "400",
                "404",
                "409",
                "502",
                parameters=name,
                result="Source",
            )
        },
    }
