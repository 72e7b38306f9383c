"""Lists of own and external packages together, held against a plain Python list of the same packages."""

import hashlib
import random
from itertools import chain

import pytest

from api.calls import EVERYTHING, package, refused
from api.listing import written
from api.mixed import PACKAGE_KEYS, SHARED, SOURCES, TIMES, Mixed, as_external, page_of
from api.sources import add, call, done, edit, feed, info, remove
from harness import http, running_server, upload
from publisher import serving, target
from torizon_io_api import DelegationInfo, PaginationResultExternalPackage, PaginationResultPackage

SAME = hashlib.sha256(b"same").hexdigest()
CHOICES = {
    "packageSource": [
        *(
            ["targets"],
            ["targets.json"],
            ["zoo"],
            ["zoo.json", "Alpha"],
            ["alpha"],
            ["mid-1.x.json"],
            ["none"],
        ),
        *(["targets.json", "mid-1.x"], [*SOURCES, "targets"], ["zoo.json", "zoo"]),
    ],
    "hashes": [[SAME], [SAME.upper()], [hashlib.sha256(b"theirs").hexdigest(), "0" * 64], ["0" * 64]],
    "hardwareIds": [["board 0"], ["board 1", "only-zoo"], ["docker-compose", "only-Alpha"], ["none"]],
    "nameContains": ["OS", "shared/01", "ÜNÏ", "app", "/", "zoo/"],
    "idContains": ["-2", "SHARED", "own", "ü", "d/00"],
    "packageIds": [["app-1"], ["app-1", "zoo/Os-1", "shared/007-1"], ["none"], ["APP-1"]],
    "hasSBOM": [True, False],
    "name": ["app", "shared/042", "Alpha/Os"],
    "version": ["1", "2"],
    "sortBy": ["Filename", "CreatedAt"],
    "sortDirection": ["Asc", "Desc"],
    "offset": [0, 1, 49, 250, 299, 5000],
    "limit": [0, 1, 7, 50, 1000, 1001, EVERYTHING],
}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("mixed") / "data") as running, serving() as host:
        made = Mixed(running, host)
        made.fill()
        yield made


def check(mixed, query, **spelling):
    answer = page_of(mixed.server, written(query, **spelling))
    values, total = mixed.expected(query)
    assert [(one["packageId"], one["packageSource"]) for one in answer["values"]] == [
        (one["packageId"], one["packageSource"]) for one in values
    ]
    assert answer["values"] == values
    assert (answer["total"], answer["offset"]) == (total, query.get("offset", 0))
    assert answer["limit"] == query.get("limit", 50)


@pytest.mark.parametrize("name", CHOICES)
def test_every_filter_finds_packages_of_all_sources_alike(mixed, name):
    for value in CHOICES[name]:
        query = {name: [one.lower() for one in value] if name == "hashes" else value}
        check(mixed, query | {"limit": EVERYTHING} if name not in ("limit", "offset") else query)


def test_any_filters_together_find_what_a_plain_list_would(mixed):
    chance = random.Random(20)
    for count in range(150):
        names = chance.sample(list(CHOICES), chance.randint(1, 5))
        query = {name: chance.choice(CHOICES[name]) for name in names if name != "hashes"}
        check(mixed, query, brackets=count % 2 == 1, plus=count % 3 == 1)


@pytest.mark.parametrize("sort_by", ["CreatedAt", "Filename"])
@pytest.mark.parametrize("direction", ["Asc", "Desc"])
def test_there_is_one_order_and_one_pagination_for_all(mixed, sort_by, direction):
    """Also where ids and times are the same, and where pages and chunks of a stream meet."""
    query = {"sortBy": sort_by, "sortDirection": direction}
    whole, total = mixed.expected(query | {"limit": EVERYTHING})
    assert total == 4 + 3 * (SHARED + 3)
    for size in (23, 250, 1000, 1001, EVERYTHING):
        step = min(size, total)
        pages = [
            page_of(mixed.server, written(query | {"limit": size, "offset": offset}))["values"]
            for offset in range(0, total, step)
        ]
        assert [*chain.from_iterable(pages)] == whole, size


def test_every_package_has_the_keys_that_strict_clients_know(mixed):
    for base in ("/api/v2beta", "/api/v2"):
        answer = page_of(mixed.server, f"limit={EVERYTHING}", f"{base}/packages")
        assert all(set(one) == PACKAGE_KEYS for one in answer["values"])
        assert len(PaginationResultPackage.from_dict(answer).values) == answer["total"]
        answer = page_of(mixed.server, f"limit={EVERYTHING}", f"{base}/packages_external")
        expected = PACKAGE_KEYS - {"packageSource", "comment"} | {"delegationOrigin"}
        assert all(set(one) == expected for one in answer["values"])
        assert len(PaginationResultExternalPackage.from_dict(answer).values) == answer["total"]


@pytest.mark.parametrize(
    "query", [{}, {"idContains": "Shared/01"}, {"idContains": "own"}, {"idContains": "É"}]
)
def test_the_old_list_pages_external_packages_alone(mixed, query):
    path = "/api/v2beta/packages_external"
    whole = page_of(mixed.server, written(query | {"limit": EVERYTHING}), path)
    values, total = mixed.expected(query | {"limit": EVERYTHING}, external=True)
    assert whole == {
        "values": [as_external(one) for one in values],
        "total": total,
        "offset": 0,
        "limit": EVERYTHING,
    }
    for size in (50, 260, 1001):
        pages = [
            page_of(mixed.server, written(query | {"limit": size, "offset": at}), path)
            for at in range(0, total, size)
        ]
        assert all((one["total"], one["limit"]) == (total, size) for one in pages)
        assert [*chain.from_iterable(one["values"] for one in pages)] == whole["values"]


def test_long_lists_are_streamed(mixed):
    for name in ("packages", "packages_external"):
        answer = http(mixed.server, "GET", f"/api/v2/{name}?limit={EVERYTHING}")
        assert "content-length" not in answer.headers
        assert answer.json["total"] == len(answer.json["values"])


def test_one_package_is_found_under_its_id_in_both_spellings_of_a_slash(mixed):
    expected = {(one["packageId"], one["packageSource"]): one for one in mixed.packages}
    for path in ("zoo%2FOs-1", "zoo/Os-1"):
        answer = http(mixed.server, "GET", f"/api/v2beta/packages/{path}")
        assert (answer.status, answer.json) == (200, expected["zoo/Os-1", "zoo.json"])
    assert package(mixed.server, "app-1") == expected["app-1", "targets.json"]
    assert package(mixed.server, "shared/000-0") == expected["shared/000-0", "zoo.json"]
    assert package(mixed.server, "Alpha/Ünï-2")["packageSource"] == "Alpha.json"
    refused(http(mixed.server, "GET", "/api/v2/packages/shared/000-9"), 404, "target_not_found")


def test_the_information_about_sources_has_what_clients_read(mixed):
    for base, suffix in (("/api/v2beta", ".json"), ("/api/v2", "")):
        found = info(mixed.server, base)
        assert list(found) == [name + suffix for name in SOURCES]
        for name in SOURCES:
            one = found[name + suffix]
            assert set(one) == {"lastFetched", "remoteUri", "friendlyName", "expires"}
            assert (one["remoteUri"], one["friendlyName"]) == (mixed.feeds[name].url, name)
            read = DelegationInfo.from_dict(one)
            assert read.last_fetched and read.expires and read.expires > read.last_fetched


def test_what_is_not_known_of_a_source_is_null(mixed):
    never = feed(mixed.host, "never")
    mixed.host.status(never.path, 404)
    add(mixed.server, never, friendlyName="")
    empty = {"lastFetched": None, "remoteUri": never.url, "friendlyName": None, "expires": None}
    assert info(mixed.server)["never"] == empty
    remove(mixed.server, "never")


def test_a_disabled_or_removed_source_vanishes_from_every_list(mixed):
    for leave in (
        lambda: edit(mixed.server, "leaving", enabled=False),
        lambda: remove(mixed.server, "leaving"),
    ):
        if "leaving" in info(mixed.server):
            edit(mixed.server, "leaving", enabled=True)
        else:
            add(mixed.server, feed(mixed.host, "leaving", target("leaving/os-1", createdAt=TIMES[0])))
        assert package(mixed.server, "leaving/os-1")["name"] == "leaving/os"
        leave()
        for query in ("packageSource=leaving", "idContains=leaving", "nameContains=leaving/os"):
            assert page_of(mixed.server, query)["total"] == 0
        path = "/api/v2/packages_external"
        assert page_of(mixed.server, "idContains=leaving", path)["total"] == 0
        assert page_of(mixed.server, "limit=0", path)["total"] == 3 * (SHARED + 3)
        refused(http(mixed.server, "GET", "/api/v2/packages/leaving/os-1"), 404, "target_not_found")
    assert "leaving" not in info(mixed.server)


def test_a_setting_says_how_sources_are_spelled_under_both_bases(tmp_path, host):
    with running_server(tmp_path / "data", env={"OTARIUM_SOURCE_SPELLING": "bare"}) as server:
        upload(server, "own", "1", b"x")
        add(server, feed(host, "spelled"))
        check_spelling(server, "spelled")
        server.stop()
        server.env = {"OTARIUM_SOURCE_SPELLING": "json"}
        server.start()
        check_spelling(server, "spelled.json")
        assert done(call(server, "GET"))["values"][0]["name"] == "spelled"


def check_spelling(server, name):
    for base in ("/api/v2beta", "/api/v2"):
        sources = {one["packageSource"] for one in page_of(server, "", f"{base}/packages")["values"]}
        assert sources == {"targets.json", name}
        [external] = page_of(server, "", f"{base}/packages_external")["values"]
        assert external["delegationOrigin"] == name
        assert list(info(server, base)) == [name]
