"""The schemas and parameters of the OpenAPI document, made from the structs of the wire."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from otarium.domain.sources import SourceState
from otarium.web import wire, wire_out, wire_sources

_SCHEMAS: list[tuple[str, Any]] = [
    ("Package", wire_out.PackageOut),
    ("PaginationResult_Package", wire_out.PageOut),
    ("ExternalPackage", wire_out.ExternalPackageOut),
    ("PaginationResult_ExternalPackage", wire_out.ExternalPageOut),
    ("DelegationInfo", wire_sources.DelegationInfoOut),
    ("EditPackage", wire.EditBody),
    ("PackageReference", wire.ReferenceBody),
    ("NewSource", wire_sources.SourceBody),
    ("EditSource", wire_sources.SourceEditBody),
    ("SourceOrder", wire_sources.SourceOrderBody),
    ("Source", wire_sources.SourceOut),
    ("SourceState", SourceState),
    ("SourceProblem", wire_sources.ProblemOut),
    ("SourceFile", wire_sources.SourceFileOut),
    ("LeftOutTarget", wire_sources.LeftOutOut),
    ("Bundle", wire_sources.BundleOut),
    ("Sources", wire_sources.SourcesOut),
]
_PARAMETERS = {
    "nameContains": "Case-insensitive substring of the name.",
    "name": "With exactly this name.",
    "version": "With exactly this version.",
    "hasSBOM": "With, or without, a document in `supplyChainInfo`.",
    "hardwareId": "The hardware the package is for; may be repeated.",
    "idContains": "Case-insensitive substring of the package id.",
    "packageSource": "Any of these sources; `targets.json` is this repository.",
    "hardwareIds": "For any of these hardware ids.",
    "hashes": "With any of these SHA-256 hashes.",
    "packageIds": "Any of these ids; an id is `{name}-{version}`.",
    "offset": "How many to skip; 0 by default.",
    "limit": "At most this many, 50 by default; a large page is streamed.",
}


def path_parameter(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def query_parameters(struct: type[msgspec.Struct]) -> list[dict[str, Any]]:
    schema = msgspec.json.schema_components([struct])[1][struct.__name__]
    parameters = []
    for name, stated in schema["properties"].items():
        parameter: dict[str, Any] = {"name": name, "in": "query", "schema": _openapi_30(stated)}
        parameter["schema"].pop("nullable", None)  # a parameter that is not null is left out
        if name in schema.get("required", ()):
            parameter["required"] = True
        if name in ("sortBy", "sortDirection"):
            parameter["schema"] = ref("TargetItemsSort" if name == "sortBy" else "SortDirection")
        if name in _PARAMETERS:
            parameter["description"] = _PARAMETERS[name]
        parameters.append(parameter)
    return parameters


def schemas(errors: Iterable[str]) -> dict[str, Any]:
    names = {struct.__name__: name for name, struct in _SCHEMAS}
    _, made = msgspec.json.schema_components([struct for _, struct in _SCHEMAS], ref_template="#/{name}")
    published = {names[name]: _openapi_30(schema, names) for name, schema in made.items()}
    for schema in published.values():
        schema.pop("title", None)
    published["TargetItemsSort"] = {"type": "string", "enum": ["Filename", "CreatedAt"]}
    published["SortDirection"] = {"type": "string", "enum": ["Asc", "Desc"]}
    published["Package"]["properties"]["createdAt"]["format"] = "date-time"
    return published | {name: _error_schema() for name in errors}


def _error_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["msg", "code"],
        "properties": {
            "msg": {"type": "string"},
            "code": {"type": "string"},
            "description": {"nullable": True},
            "cause": {"nullable": True},
            "errorId": {"type": "string", "format": "uuid", "nullable": True},
        },
    }


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _openapi_30(schema: Any, names: dict[str, str] | None = None) -> Any:
    """JSON Schema as OpenAPI 3.0 says it: `nullable` instead of a union with null, own references."""
    if isinstance(schema, list):
        return [_openapi_30(one, names) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _openapi_30(value, names) for key, value in schema.items()}
    if "$ref" in made and names:
        return ref(names[re.sub("^#/", "", made["$ref"])])
    choices = made.pop("anyOf", None)
    if choices:
        real = [one for one in choices if one != {"type": "null"}]
        made |= real[0]
        made["nullable"] = True
    if made.get("default", "") is None or made.get("default") == []:
        del made["default"]
    return made
