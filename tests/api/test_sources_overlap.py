"""Dependency confusion: where names of ours and paths of a source meet, somebody says yes, and ours win."""

import json

import pytest

from api.calls import delete, ids, package, patch, post, refused
from api.sources import add, call, delegated, edit, every, feed, remove, remove_all, rows
from api.traces import nothing_changes
from harness import add_reference, http, upload
from publisher import target

YES = {"Otarium-Accept-Overlap": "true"}
ELSEWHERE = {"sha256": "a" * 64, "length": 1, "uri": "https://example.com/x"}


@pytest.fixture
def server(trusting):
    """Without sources, before and after each test."""
    yield trusting
    remove_all(trusting)


def referenced(server, name, version, headers=None, **members):
    body = {"name": name, "version": version, "hardwareIds": ["hw"], **ELSEWHERE, **members}
    sent = {"Content-Type": "application/json"} | (headers or {})
    path = "/api/otarium/v1/packages/references"
    return http(server, "POST", path, body=json.dumps(body).encode(), headers=sent)


@pytest.mark.parametrize("fate", ["live", "deleted", "referenced"])
def test_patterns_that_match_own_packages_need_a_yes(server, host, fate):
    if fate == "referenced":
        assert add_reference(server, name="own-referenced/app", version="1", **ELSEWHERE).status == 200
    else:
        upload(server, f"own-{fate}/app", "1", b"x")
    if fate == "deleted":
        delete(server, "own-deleted/app-1")
    tdx = feed(host, f"tdx-{fate}", {}, paths=["unknown/*", f"own-{fate}/*"])
    with nothing_changes(server):
        error = refused(
            call(server, "POST", body=tdx.bundle()),
            409,
            "conflicting_entity",
            f"own-{fate}/app-1",
            "acceptOverlap",
        )
    assert error["cause"] == [f"own-{fate}/app-1"]
    assert (every(server), tdx.requests) == ([], 0)
    assert add(server, tdx, acceptOverlap=True)["state"] == "fresh"


def test_what_is_in_the_way_is_shown_up_to_twenty_names(server, host):
    for number in range(22):
        upload(server, f"crowd/{number}", "1", b"x")
    error = refused(call(server, "POST", body=feed(host, "crowd").bundle()), 409, "conflicting_entity")
    assert len(error["cause"]) == 20
    assert all(one.startswith("crowd/") for one in error["cause"])


def test_patterns_beside_own_packages_need_no_yes(server, host):
    upload(server, "beside/app", "1", b"x")
    paths = ["beside/app", "beside/app-2", "beside", "BESIDE/*", "beside/?"]
    assert add(server, feed(host, "beside", {}, paths=paths))["state"] == "fresh"


def test_a_new_own_name_that_a_source_may_publish_needs_a_yes(server, host):
    add(server, feed(host, "vendor", paths=["vendor/*"]))
    with nothing_changes(server):
        for answer in (post(server, "vendor/new", "1", b"x"), referenced(server, "vendor/new", "1")):
            error = refused(answer, 409, "conflicting_entity", "vendor/new-1", "Otarium-Accept-Overlap")
            assert error["cause"] == ["vendor"]
        for value in ("false", "", "1", "yes"):
            answer = post(server, "vendor/new", "1", b"x", headers={"Otarium-Accept-Overlap": value})
            refused(answer, 409, "conflicting_entity")
    assert post(server, "vendor/new", "1", b"x", headers=YES).status == 200
    assert referenced(server, "vendor/newer", "1", YES).status == 200
    assert referenced(server, "vendor/newest", "1", acceptOverlap=True).status == 200
    assert post(server, "elsewhere/new", "1", b"x").status == 200


def test_a_further_version_of_an_own_name_needs_no_yes(server, host):
    add(server, feed(host, "later", paths=["later/*"]))
    assert post(server, "later/own", "1", b"x", headers=YES).status == 200
    assert post(server, "later/own", "2", b"x").status == 200
    assert post(server, "later/own", "2", b"x").status == 200
    assert referenced(server, "later/own", "3").status == 200
    assert patch(server, "later/own-1", {"comment": "mine"}).status == 200
    delete(server, "later/own-1")
    assert post(server, "later/own", "1", b"x").status == 200


def test_a_package_that_was_ours_comes_back_without_a_yes(server, host):
    upload(server, "former/own", "1", b"x")
    delete(server, "former/own-1")
    add(server, feed(host, "former", {}, paths=["former/*"]), acceptOverlap=True)
    assert post(server, "former/own", "1", b"x").status == 200


def test_a_disabled_source_still_guards_its_names(server, host):
    """Else a name could be taken while nobody looks, and be there when it is enabled."""
    add(server, feed(host, "asleep", paths=["asleep/*"]))
    edit(server, "asleep", enabled=False)
    refused(post(server, "asleep/new", "1", b"x"), 409, "conflicting_entity")
    remove(server, "asleep")
    assert post(server, "asleep/new", "1", b"x").status == 200


def test_patterns_are_those_of_devices(server, host):
    """`*` and `?` match a slash, in capitals or not is another name, and an id is compared whole."""
    add(server, feed(host, "rules", {}, paths=["deep*-1", "one?two-*"]))
    for name in ("deep/er/still", "one/two"):
        refused(post(server, name, "1", b"x"), 409, "conflicting_entity", name)
    for name in ("Deep/er", "a/deep", "one/xtwo"):
        assert post(server, name, "1", b"x").status == 200


def test_own_packages_win_over_those_of_sources_with_the_same_id(server, host):
    upload(server, "both/app", "1", b"ours")
    theirs = target("both/app-1", b"not ours") | target("both/app-2")
    add(server, feed(host, "both", theirs), acceptOverlap=True)
    assert package(server, "both/app-1")["packageSource"] == "targets.json"
    assert http(server, "GET", "/repo/targets/both/app-1").body == b"ours"
    assert sorted(ids(server, "nameContains=both/")) == ["both/app-1", "both/app-1", "both/app-2"]
    assert {one["packageId"] for one in rows(server, "both")} == {"both/app-1", "both/app-2"}
    changed = patch(server, "both/app-1", {"comment": "ours"})
    assert changed.json["packageSource"] == "targets.json"
    delete(server, "both/app-1")
    assert package(server, "both/app-1")["packageSource"] == "both.json"


@pytest.mark.parametrize("base", ["/api/v2beta", "/api/v2"])
def test_a_package_of_a_source_cannot_be_edited_or_deleted(server, host, base):
    add(server, feed(host, "fixed"))
    path = f"{base}/packages/fixed%2Fos-1.0"
    with nothing_changes(server):
        kind = {"Content-Type": "application/json"}
        for body in (b"{}", b'{"comment":"x"}'):
            refused(http(server, "PATCH", path, body=body, headers=kind), 404, "target_not_found")
        refused(http(server, "DELETE", path), 404, "target_not_found")
    assert http(server, "GET", path).status == 200
    assert list(delegated(server)) == ["fixed"]
