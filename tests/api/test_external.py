"""The external calls of a repository without sources: truthful, and in the documented shape."""

import pytest

from api.calls import EVERYTHING, refused
from harness import http

BASES = ["/api/v2beta", "/api/v2"]


@pytest.mark.parametrize("base", BASES)
def test_the_list_is_an_empty_page_that_echoes_what_was_asked(server, base):
    assert http(server, "GET", base + "/packages_external").json == {
        "values": [],
        "total": 0,
        "offset": 0,
        "limit": 50,
    }
    answer = http(server, "GET", f"{base}/packages_external?idContains=x/y&offset=3&limit={EVERYTHING}&z=1")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json == {"values": [], "total": 0, "offset": 3, "limit": EVERYTHING}


@pytest.mark.parametrize("query", ["limit=-1", "limit=x", "offset=-1", f"limit={EVERYTHING + 1}"])
def test_its_paging_is_checked_like_any_other(server, query):
    answer = http(server, "GET", "/api/v2beta/packages_external?" + query)
    refused(answer, 400, "invalid_entity", query.partition("=")[0])


@pytest.mark.parametrize("base", BASES)
def test_the_information_about_sources_is_an_empty_object(server, base):
    answer = http(server, "GET", base + "/packages_external/info")
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, "application/json", b"{}")


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("source", ["tdx-nightly", "tdx-nightly.json", "targets.json", "a%20b", "%C3%A9"])
def test_no_source_can_be_refreshed(server, base, source):
    answer = http(server, "GET", f"{base}/packages_external/refresh/{source}")
    refused(answer, 404, "delegations_not_found")


@pytest.mark.parametrize("source", ["tdx-nightly", "tdx-nightly.json", ""])
def test_the_filter_by_source_finds_nothing_of_other_sources(server, source):
    answer = http(server, "GET", f"/api/v2/packages?packageSource={source}x")
    assert (answer.json["values"], answer.json["total"]) == ([], 0)
