"""/openapi.json and /docs: one document, valid, named, true."""

import json
import re

import pytest

from api.calls import refused
from harness import http

NAMED = {
    "Package",
    "PaginationResult_Package",
    "ExternalPackage",
    "PaginationResult_ExternalPackage",
    "DelegationInfo",
    "EditPackage",
    "PackageReference",
    "NewSource",
    "EditSource",
    "SourceOrder",
    "Source",
    "Sources",
    "Bundle",
    "BadRequestRepr",
    "NotFoundRepr",
    "ConflictRepr",
    "TargetItemsSort",
    "SortDirection",
}
STATUSES = {
    ("/packages", "get"): {"200", "400", "401", "403"},
    ("/packages", "post"): {"200", "400", "401", "403", "409", "411", "413", "503", "507"},
    ("/packages/{packageId}", "get"): {"200", "400", "401", "403", "404"},
    ("/packages/{packageId}", "patch"): {"200", "400", "401", "403", "404", "409", "412", "415", "503"},
    ("/packages/{packageId}", "delete"): {"200", "400", "401", "403", "404", "409", "503"},
    ("/packages_external", "get"): {"200", "400", "401", "403"},
    ("/packages_external/info", "get"): {"200", "401", "403", "404"},
    ("/packages_external/refresh/{source_file_name}", "get"): {
        *("200", "400", "401", "403", "404", "409", "502")
    },
    ("/packages/references", "post"): {"200", "400", "401", "403", "409", "503"},
    ("/sources", "get"): {"200", "401", "403"},
    ("/sources", "post"): {"200", "400", "401", "403", "409", "413", "415", "503"},
    ("/sources", "put"): {"200", "400", "401", "403", "413", "415", "503"},
    ("/sources/{name}", "get"): {"200", "401", "403", "404"},
    ("/sources/{name}", "patch"): {"200", "400", "401", "403", "404", "413", "415", "503"},
    ("/sources/{name}", "delete"): {"200", "401", "403", "404", "503"},
    ("/sources/{name}/refresh", "post"): {"200", "400", "401", "403", "404", "409", "502", "503"},
    ("/bundle", "get"): {"200", "400", "401", "403", "409"},
}


@pytest.fixture(scope="module")
def document(server):
    answer = http(server, "GET", "/openapi.json", token=None)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    return answer.json


def operations(document):
    methods = ("get", "post", "patch", "delete", "put")
    return [
        (path, method, item[method], item)
        for path, item in document["paths"].items()
        for method in methods
        if method in item
    ]


def test_its_servers_are_both_bases_and_its_security_a_bearer_or_a_client(server, document):
    assert document["openapi"].startswith("3.0.")
    assert [one["url"] for one in document["servers"]] == [server.api, server.api_v2]
    assert document["security"] == [{"BearerAuth": []}, {"Oauth2": []}]
    schemes = document["components"]["securitySchemes"]
    assert schemes["BearerAuth"]["type"] == "http"
    assert schemes["BearerAuth"]["scheme"] == "bearer"
    flow = schemes["Oauth2"]["flows"]["clientCredentials"]
    assert flow["tokenUrl"].startswith(server.url + "/")
    assert set(flow["scopes"]) == {"packages:read", "packages:write"}


def test_it_documents_every_call_with_every_status_that_it_answers(document):
    documented = {(path, method): set(call["responses"]) for path, method, call, _ in operations(document)}
    assert set(documented) == set(STATUSES)
    for call, statuses in STATUSES.items():
        assert statuses <= documented[call], call
        assert not documented[call] & {"201", "202", "204"}


def test_every_schema_has_a_name_and_every_reference_leads_to_one(document):
    schemas = document["components"]["schemas"]
    assert set(schemas) >= NAMED
    for name in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document["paths"])):
        assert name in schemas
    for path, method, call, _ in operations(document):
        for status, response in call["responses"].items():
            for content in response.get("content", {}).values():
                schema = content["schema"]
                named = schema.get("additionalProperties", schema)
                assert "$ref" in named, (path, method, status)


def test_no_schema_is_a_union_that_the_official_generator_cannot_spell(document):
    text = json.dumps(document)
    assert "anyOf" not in text
    assert "oneOf" not in text


def test_a_package_has_the_keys_that_strict_clients_know(document):
    assert set(document["components"]["schemas"]["Package"]["properties"]) == {
        "name",
        "version",
        "packageId",
        "size",
        "hashes",
        "packageSource",
        "pkgType",
        "hardwareIds",
        "createdAt",
        "uri",
        "proprietaryMeta",
        "comment",
    }


def test_every_documented_path_answers_under_every_server(server, document):
    for path, method, call, item in operations(document):
        for base in item.get("servers", document["servers"]):
            url = base["url"].removeprefix(server.url) + path.replace("{packageId}", "openapi-none-1")
            url = url.replace("{source_file_name}", "none").replace("{name}", "none")
            body = b"" if method in ("post", "patch", "put") else None
            answer = http(server, method.upper(), url, body=body)
            assert str(answer.status) in call["responses"], (url, answer.body)
            if answer.status != 200:
                assert refused(answer, answer.status)["code"] not in ("missing_entity", "method_not_allowed")


def test_the_page_for_people_shows_every_call_and_needs_nothing_from_elsewhere(server, document):
    answer = http(server, "GET", "/docs", token=None)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")
    text = answer.body.decode()
    for path, _method, call, _ in operations(document):
        assert path in text
        assert call["summary"] in text
    assert "<script" not in text
    assert not re.findall(r'(?:src|<link[^>]+href)="?https?:', text)
    start = http(server, "GET", "/", token=None)
    assert (start.status, start.headers["location"]) == (302, "/docs")
