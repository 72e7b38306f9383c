"""/api/otarium/v1/sources: adding, showing, ordering, editing, disabling and removing external sources."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.calls import package, refused, token_for
from api.sources import (
    add,
    call,
    delegated,
    done,
    edit,
    every,
    feed,
    info,
    line,
    refresh,
    remove,
    remove_all,
    rows,
    served,
    show,
    signed,
    state_of,
)
from harness import http
from publisher import target, when

STATED = {
    *("name", "friendlyName", "fetchUrl", "tufFetchUrl", "targetsUrl", "paths", "keyids", "threshold"),
    *("enabled", "insecure", "followRedirects", "vouch", "interval", "headers"),
}
FARES = {"state", "problem", "lastFetched", "nextRefresh", "expires", "files", "leftOut", "warnings"}


@pytest.fixture
def server(trusting):
    """Without sources, before and after each test."""
    yield trusting
    remove_all(trusting)


@pytest.mark.parametrize("form", ["text", "object"])
def test_a_published_bundle_is_added_fetched_listed_and_served(server, host, form):
    tdx = feed(host, f"first-{form}")
    raw = tdx.publish(target(f"{tdx.name}/os-1.0") | target(f"{tdx.name}/boot-2"))
    shown = add(server, tdx, fetchUrl=tdx.url if form == "text" else {"uri": tdx.url})
    assert set(shown) == STATED | FARES
    assert (shown["name"], shown["state"], shown["problem"]) == (tdx.name, "fresh", None)
    assert (shown["fetchUrl"], shown["friendlyName"]) == (tdx.url, tdx.name)
    assert shown["keyids"] == [tdx.publisher.keys[0].key_id]
    assert [(one["dialect"], one["version"], one["length"]) for one in shown["files"]] == [
        ("uptane", 1, len(raw))
    ]
    assert show(server, tdx.name) == shown
    assert {one["packageId"] for one in rows(server, tdx.name)} == {
        f"{tdx.name}/os-1.0",
        f"{tdx.name}/boot-2",
    }
    assert delegated(server)[tdx.name]["paths"] == [f"{tdx.name}/*"]
    assert line(server, tdx.name)["length"] == len(raw)
    assert served(server, tdx.name) == raw
    assert tdx.requests == 1


def test_names_with_and_without_json_are_the_same_source(server, host):
    tdx = feed(host, "suffix")
    assert add(server, tdx, name="suffix.json")["name"] == "suffix"
    for name in ("suffix", "suffix.json"):
        refused(call(server, "POST", body=tdx.bundle(name=name)), 409, "conflicting_entity", "suffix")
        assert show(server, name)["name"] == "suffix"
        assert edit(server, name, friendlyName=name)["friendlyName"] == name
        assert done(call(server, "POST", f"/{name}/refresh"))["name"] == "suffix"
        assert refresh(server, name).status == 200
        assert len(rows(server, name)) == 1
    remove(server, "suffix.json")
    assert every(server) == []


def test_adding_one_never_touches_another(server, host):
    good, dead = feed(host, "good"), feed(host, "dead")
    host.status(dead.path, 500)
    add(server, good)
    add(server, dead)
    before, keys = state_of(server, "good"), signed(server, "targets")["delegations"]["keys"]
    for name in ("third", "silent", "unsigned"):
        third = feed(host, name)
        if name == "silent":
            host.status(third.path, 404)
        if name == "unsigned":
            host.put(third.path, good.publisher.uptane(target("unsigned/os-1.0")))
        add(server, third)
        assert json.dumps(state_of(server, "good")) == json.dumps(before)
        assert keys.items() <= signed(server, "targets")["delegations"]["keys"].items()
    assert list(delegated(server)) == ["good", "third"]
    assert every(server) == ["good", "dead", "third", "silent", "unsigned"]
    assert delegated(server, "tuf") == {}


def test_of_many_that_add_one_name_at_once_one_succeeds(server, host):
    once = feed(host, "once")
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: call(server, "POST", body=once.bundle()), range(6)))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 5
    assert every(server) == ["once"]


def test_the_order_is_that_of_adding_until_it_is_changed(server, host):
    names = ["one", "two", "three"]
    for name in names:
        add(server, feed(host, name, target("same/os-1.0", name.encode()), paths=["same/*"]))
    assert every(server) == list(delegated(server)) == names
    assert package(server, "same/os-1.0")["size"] == len("one")
    answer = done(call(server, "PUT", body={"names": ["three", "one.json", "two"]}))
    assert [one["name"] for one in answer["values"]] == ["three", "one", "two"]
    assert every(server) == list(delegated(server)) == ["three", "one", "two"]
    assert package(server, "same/os-1.0")["packageSource"] == "three.json"
    remove(server, "three")
    add(server, feed(host, "four"))
    assert every(server) == list(delegated(server)) == ["one", "two", "four"]


def test_an_order_names_each_source_once(server, host):
    add(server, feed(host, "alpha"))
    add(server, feed(host, "beta"))
    before = signed(server, "targets")
    for names in ([], ["alpha"], ["alpha", "alpha"], ["alpha", "beta", "beta"], ["alpha", "beta", "none"]):
        refused(call(server, "PUT", body={"names": names}), 400, "invalid_entity", "alpha, beta")
    for body in ({}, {"names": None}, {"names": "alpha"}, {"names": [1, 2]}, []):
        refused(call(server, "PUT", body=body), 400, "invalid_entity")
    assert signed(server, "targets") == before


def stated(shown):
    """What a refresh that goes on in the background does not change."""
    return {name: value for name, value in shown.items() if name in STATED}


def test_an_edit_changes_what_it_states_and_nothing_else(server, host):
    tdx = feed(host, "edited")
    before = add(server, tdx)
    host.put("/moved.json", tdx.publisher.uptane(target("edited/os-2.0"), 2))
    changes = [
        {"friendlyName": "Ä nice name"},
        {"interval": 60},
        {"followRedirects": True},
        {"targetsUrl": "https://example.com/files/"},
        {"targetsUrl": None},
        {"friendlyName": ""},
        {"fetchUrl": host.url + "/moved.json"},
        {},
    ]
    for change in changes:
        after = edit(server, "edited", **change)
        shown = {name: value or None for name, value in change.items()}
        assert stated(after) == stated(before) | shown
        before = after
        assert info(server)["edited"]["friendlyName"] == after["friendlyName"]
    assert refresh(server, "edited").status == 200
    assert [one["version"] for one in rows(server, "edited")] == ["2.0"]


def test_a_list_that_is_not_fetched_any_more_is_not_sent_to_anybody(server, host):
    """Else it would expire one day, and with it the state of the source."""
    both = feed(host, "both-dialects")
    ends = when(time.time() + 86_400)
    host.put("/both.tuf.json", both.publisher.tuf(target("both-dialects/os-1.0"), expires=ends))
    shown = add(server, both, tufFetchUrl=host.url + "/both.tuf.json")
    assert ([one["dialect"] for one in shown["files"]], shown["expires"]) == (["uptane", "tuf"], ends)
    assert list(delegated(server, "tuf")) == ["both-dialects"]
    assert edit(server, "both-dialects", tufFetchUrl=None)["expires"] > ends
    assert (list(delegated(server)), delegated(server, "tuf")) == (["both-dialects"], {})


@pytest.mark.parametrize(
    "change",
    [
        {"interval": 59},
        {"interval": 7 * 86_400 + 1},
        {"interval": "60"},
        {"friendlyName": "x" * 81},
        {"friendlyName": "line\nbreak"},
        {"friendlyName": 5},
        {"fetchUrl": "ftp://example.com/x"},
        {"fetchUrl": None},
        {"insecure": False},
        {"insecure": "yes"},
        {"enabled": None},
        {"targetsUrl": "x"},
        {"headers": {"Cookie": "x"}},
    ],
    ids=str,
)
def test_an_edit_that_is_refused_changes_nothing(server, host, change):
    add(server, feed(host, "kept"))
    before = state_of(server, "kept")
    refused(call(server, "PATCH", "/kept", change), 400, "invalid_entity")
    assert state_of(server, "kept") == before


def test_a_disabled_source_reaches_nobody_and_comes_back_as_it_was(server, host):
    tdx = feed(host, "paused")
    before = add(server, tdx)
    listed, role, kept, raw = rows(server, "paused"), delegated(server), line(server, "paused"), tdx.requests
    disabled = edit(server, "paused", enabled=False)
    assert (disabled["enabled"], disabled["state"], disabled["expires"]) == (False, "disabled", None)
    assert [(one["version"], one["live"]) for one in disabled["files"]] == [(1, False)]
    health = http(server, "GET", "/health/ready", token=None).json
    assert (health["status"], health["sources"]["paused"]["state"]) == ("ok", "disabled")
    states = http(server, "GET", "/metrics", token=None).body.decode()
    assert 'otarium_source_state{source="paused",state="disabled"} 1.0' in states
    assert 'otarium_source_state{source="paused",state="unreachable"} 0.0' in states
    assert (rows(server, "paused"), delegated(server)) == ([], {})
    assert line(server, "paused") == kept
    assert every(server) == ["paused"]
    refused(refresh(server, "paused"), 409, "conflicting_entity", "disabled")
    assert tdx.requests == raw
    after = edit(server, "paused", enabled=True)
    assert stated(after) == stated(before)
    assert (after["state"], after["files"]) == (before["state"], before["files"])
    assert (rows(server, "paused"), delegated(server), line(server, "paused")) == (listed, role, kept)


def test_a_removed_source_is_gone_but_for_its_snapshot_line(server, host):
    add(server, feed(host, "gone"))
    kept, raw = line(server, "gone"), served(server, "gone")
    remove(server, "gone")
    assert (every(server), rows(server, "gone"), delegated(server)) == ([], [], {})
    assert "gone" not in info(server)
    assert (line(server, "gone"), served(server, "gone")) == (kept, raw)
    for method, place, body in (
        ("GET", "/gone", None),
        ("PATCH", "/gone", {}),
        ("DELETE", "/gone", None),
        ("POST", "/gone/refresh", None),
    ):
        refused(call(server, method, place, body), 404, "delegations_not_found", "gone")
    refused(refresh(server, "gone"), 404, "delegations_not_found")


def test_a_source_added_again_at_once_is_there_at_once(server, host):
    again = feed(host, "again")
    for _ in range(3):
        assert add(server, again)["state"] == "fresh"
        assert len(rows(server, "again")) == 1
        assert "again" in delegated(server)
        remove(server, "again")


def test_under_its_old_name_a_source_may_not_go_back_but_under_another_it_may(server, host):
    back = feed(host, "back", version=5)
    add(server, back)
    remove(server, "back")
    older = back.publish(target("back/os-1.0"), 4)
    shown = add(server, back)
    assert (shown["state"], shown["problem"]["code"]) == ("refused", "invalid_version_bump")
    refused(refresh(server, "back"), 409, "invalid_version_bump", "5", "4")
    assert (rows(server, "back"), delegated(server)) == ([], {})
    assert add(server, back, name="recovered")["state"] == "fresh"
    assert served(server, "recovered") == older
    back.publish(target("back/os-1.0"), 6)
    assert refresh(server, "back").status == 200
    assert show(server, "back")["state"] == "fresh"


def test_nothing_is_terminating_in_what_we_sign(server, host):
    final = feed(host, "final")
    bundle = final.bundle()
    bundle["delegationMetadata"]["terminating"] = True
    done(call(server, "POST", body=bundle))
    assert delegated(server)["final"]["terminating"] is False


def test_thirty_sources_are_enough(server, host):
    for number in range(30):
        add(server, feed(host, f"many-{number}"), fetchUrl=host.url + "/none")
    answer = call(server, "POST", body=feed(host, "too-many").bundle())
    refused(answer, 409, "conflicting_entity", "30")


def test_who_may_only_read_changes_no_source(server, host):
    add(server, feed(host, "read"))
    reader = token_for(server, "packages:read")
    calls = [
        ("POST", "", feed(host, "new").bundle()),
        ("PUT", "", {"names": ["read"]}),
        ("PATCH", "/read", {}),
        ("DELETE", "/read", None),
        ("POST", "/read/refresh", None),
    ]
    for method, place, body in calls:
        refused(call(server, method, place, body, token=reader), 403, "forbidden")
        refused(call(server, method, place, body, token=None), 401, "unauthorized")
        refused(call(server, method, place, body, token="wrong"), 401, "unauthorized")
    for place in ("", "/read"):
        assert call(server, "GET", place, token=reader).status == 200
        refused(call(server, "GET", place, token=None), 401, "unauthorized")
    refused(refresh(server, "read", token=reader), 403, "forbidden")
    assert http(server, "GET", "/api/otarium/v1/bundle", token=reader).status in (200, 409)
    assert every(server) == ["read"]
