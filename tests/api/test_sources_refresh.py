"""Refreshing: what is taken over, and that whatever is refused leaves the copy from before and a reason."""

import json
import time

import pytest

from api.calls import refused
from api.sources import (
    add,
    delegated,
    edit,
    feed,
    info,
    line,
    refresh,
    remove_all,
    rows,
    served,
    show,
)
from api.traces import release_of
from harness import http
from publisher import OMIT, Publisher, serving, target, when

FETCH, PARSE = "delegation_remote_fetch_failed", "delegation_remote_parse_failed"
SIGNATURE, VERSION = "payload_signature_invalid", "invalid_version_bump"
EXPIRED, OUTSIDE = "delegation_expired", "invalid_delegated_target"
HTTP_STATUS = {FETCH: 502, PARSE: 502, SIGNATURE: 400, VERSION: 409, EXPIRED: 400, OUTSIDE: 400}


@pytest.fixture
def server(trusting):
    """Without sources, before and after each test."""
    yield trusting
    remove_all(trusting)


def metric(server, name, **labels):
    text = ",".join(f'{key}="{value}"' for key, value in labels.items())
    lines = http(server, "GET", "/metrics", token=None).body.decode().splitlines()
    [found] = [one for one in lines if one.startswith(f"{name}{{{text}}} ")]
    return float(found.rpartition(" ")[2])


def copy_of(server, name):
    """What devices and lists have of a source."""
    return served(server, name), delegated(server)[name], line(server, name), rows(server, name)


def publish(made, **members):
    """The next list, with something wrong in it."""
    made.publish(members.pop("targets", next_targets(made)), members.pop("version", 6), **members)


def next_targets(made):
    return target(f"{made.name}/os-6")


def put(raw, **headers):
    return lambda made: made.host.put(made.path, raw, headers or None)


def answering(status, **headers):
    return lambda made: made.host.status(made.path, status, headers or None)


def listing(**members):
    return lambda made: publish(made, **members)


def signed_by_others(made):
    made.host.put(made.path, Publisher("others").uptane(next_targets(made), 6))


def unsigned(made):
    document = json.loads(made.publisher.uptane(next_targets(made), 6))
    made.host.put(made.path, json.dumps(document | {"signatures": []}).encode())


def changed_after_signing(made):
    raw = made.publisher.uptane(next_targets(made), 6)
    made.host.put(made.path, raw.replace(b'"length":', b'"length":1'))


ROLE = {"name": "nested", "keyids": [], "paths": ["*"], "threshold": 1, "terminating": False}
NO_HASH = {"refused/x": {"length": 1, "hashes": {}, "custom": {}}}
NO_LENGTH = {"refused/x": {"hashes": {"sha256": "a" * 64}, "custom": {}}}
REFUSED = {
    "it answers 404": (answering(404), FETCH),
    "it answers 500": (answering(500), FETCH),
    "it redirects": (answering(302, Location="https://example.com/"), FETCH),
    "it is too large": (put(b" " * (8 * 1024 * 1024 + 1)), FETCH),
    "it is compressed": (put(b"x", **{"Content-Encoding": "gzip"}), FETCH),
    "it is empty": (put(b""), PARSE),
    "it is a page for people": (put(b"<html>"), PARSE),
    "it is no text": (put(b"\xff\xfe"), PARSE),
    "it is no object": (put(b"[]"), PARSE),
    "it says something twice": (put(b'{"signed":{},"signed":{}}'), PARSE),
    "it is deep": (put(b"[" * 100_000), PARSE),
    "it is another role": (listing(_type="Snapshot"), PARSE),
    "it has no version": (listing(version=OMIT), PARSE),
    "its version leaves no room": (listing(version=2**31 - 1000), PARSE),
    "its expiry is odd": (listing(expires="tomorrow"), PARSE),
    "its targets are a list": (listing(targets=[]), PARSE),
    "its delegations are no object": (listing(delegations=[1]), PARSE),
    "a number is no integer": (put(b'{"signed":{"version":1.5},"signatures":[]}'), PARSE),
    "nobody signed it": (unsigned, SIGNATURE),
    "others signed it": (signed_by_others, SIGNATURE),
    "it was changed after signing": (changed_after_signing, SIGNATURE),
    "it went back": (listing(version=4), VERSION),
    "it changed without a new version": (listing(version=5), VERSION),
    "it is expired": (listing(expires=when(time.time() - 5)), EXPIRED),
    "a package is outside of its paths": (listing(targets=target("elsewhere/os-1")), OUTSIDE),
    "a package has no hash": (listing(targets=NO_HASH), OUTSIDE),
    "a package has no length": (listing(targets=NO_LENGTH), OUTSIDE),
    "it delegates further": (listing(delegations={"keys": {}, "roles": [ROLE]}), OUTSIDE),
}


@pytest.fixture(scope="module")
def kept(trusting, host):
    """A source whose version 5 is good; it stays for all cases."""
    return feed(host, "refused", target("refused/os-5"), 5)


@pytest.mark.parametrize("case", REFUSED)
def test_whatever_is_refused_leaves_the_copy_from_before(server, kept, case):
    spoil, code = REFUSED[case]
    raw = kept.publish(target("refused/os-5"), 5)
    assert add(server, kept)["state"] == "fresh"
    before = copy_of(server, "refused")
    spoil(kept)
    error = refused(refresh(server, "refused"), HTTP_STATUS[code], code, "refused" if code != FETCH else "")
    assert copy_of(server, "refused") == before
    assert before[0] == raw
    check_told(server, "refused", error, "unreachable" if code == FETCH else "refused")


def check_told(server, name, error, state):
    """The reason is in the administration, in the health, in the metrics and in the log."""
    shown = show(server, name)
    assert (shown["state"], shown["problem"]["code"]) == (state, error["code"])
    assert shown["problem"]["message"] == error["msg"]
    health = http(server, "GET", "/health/ready", token=None)
    told = health.json["sources"][name]
    assert (health.status, health.json["status"]) == (200, "ok")
    assert (told["state"], told["reason"], told["since"]) == (state, error["code"], shown["problem"]["since"])
    assert metric(server, "otarium_source_state", source=name, state=state) == 1
    assert metric(server, "otarium_source_state", source=name, state="fresh") == 0
    assert metric(server, "otarium_source_failures", source=name) == 1
    assert f"source {name}: {error['msg']} ({error['code']})" in server.log_tail()
    assert server.log_tail().count("Traceback") == 0


@pytest.mark.parametrize("base", ["/api/v2beta", "/api/v2"])
@pytest.mark.parametrize("spelling", ["asked", "asked.json"])
def test_a_refresh_is_answered_with_nothing_but_200(server, host, base, spelling):
    asked = feed(host, "asked")
    add(server, asked)
    before = asked.requests
    answer = refresh(server, spelling, base)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert asked.requests == before + 1


@pytest.mark.parametrize("name", ["none", "none.json", "targets", "targets.json", "%C3%A9", "a%20b", "a%2Fb"])
def test_an_unknown_source_cannot_be_refreshed(server, name):
    answer = refresh(server, name)
    assert answer.status == 404
    if "%2F" not in name:
        refused(answer, 404, "delegations_not_found")


def test_a_dead_publisher_is_told_since_when_and_comes_back(server):
    with serving() as own:
        dead = feed(own, "dead-one")
        add(server, dead)
        before = copy_of(server, "dead-one")
    first = refused(refresh(server, "dead-one"), 502, FETCH, "127.0.0.1")
    check_told(server, "dead-one", first, "unreachable")
    since = show(server, "dead-one")["problem"]["since"]
    time.sleep(1.1)
    refused(refresh(server, "dead-one"), 502, FETCH)
    assert show(server, "dead-one")["problem"]["since"] == since
    assert copy_of(server, "dead-one") == before
    with serving() as again:
        again.put(dead.path, dead.publisher.uptane(target("dead-one/os-2"), 2))
        edit(server, "dead-one", fetchUrl=again.url + dead.path)
        assert refresh(server, "dead-one").status == 200
    shown = show(server, "dead-one")
    assert (shown["state"], shown["problem"], shown["files"][0]["version"]) == ("fresh", None, 2)
    assert metric(server, "otarium_source_state", source="dead-one", state="fresh") == 1
    assert metric(server, "otarium_source_failures", source="dead-one") == 0


def test_a_list_that_ends_is_fresh_then_expiring_then_expired_and_served_all_the_time(server, host):
    ends = int(time.time()) + 5
    ending = feed(host, "ending")
    raw = ending.publish(target("ending/os-1"), expires=when(ends))
    assert add(server, ending)["state"] == "fresh"
    assert info(server)["ending"]["expires"] == when(ends)
    time.sleep(ends - 0.7 - time.time())
    assert show(server, "ending")["state"] == "expiring"
    time.sleep(ends + 0.2 - time.time())
    assert show(server, "ending")["state"] == "expired"
    error = refused(refresh(server, "ending"), 400, EXPIRED, "ending")
    check_told(server, "ending", error, "expired")
    assert (served(server, "ending"), list(delegated(server))) == (raw, ["ending"])
    assert metric(server, "otarium_source_expires_timestamp_seconds", source="ending") == ends
    ending.publish(target("ending/os-1"), 2)
    assert refresh(server, "ending").status == 200
    assert show(server, "ending")["state"] == "fresh"


def test_a_list_that_did_not_change_is_not_sent_again(server, host):
    same = feed(host, "same-list")
    add(server, same)
    before, etag = (copy_of(server, "same-list"), release_of(server)), '"' + "x" * 40 + '"'
    assert refresh(server, "same-list").status == 200
    last = host.request_headers[same.path][-1]
    assert {"if-none-match", "if-modified-since"} <= set(last)
    assert (copy_of(server, "same-list"), release_of(server)) == before
    host.put(same.path, same.publisher.uptane(target("same-list/os-2"), 2), {"ETag": etag})
    assert refresh(server, "same-list").status == 200
    assert [one["version"] for one in rows(server, "same-list")] == ["2"]
    refresh(server, "same-list")
    assert host.request_headers[same.path][-1]["if-none-match"] == etag


def test_the_same_file_again_changes_nothing_for_devices(server, host):
    """A host may know neither ETag nor Last-Modified."""

    def seen():
        answer = http(server, "GET", "/repo/delegations/no-etag.json", token=None)
        return release_of(server), answer.headers["last-modified"], show(server, "no-etag")["files"]

    plain = feed(host, "no-etag")
    host.put(plain.path, plain.publish(target("no-etag/os-1")), {"ETag": None, "Last-Modified": None})
    fetched, before = add(server, plain)["lastFetched"], seen()
    time.sleep(1.1)
    assert refresh(server, "no-etag").status == 200
    assert "if-none-match" not in host.request_headers[plain.path][-1]
    assert seen() == before
    assert show(server, "no-etag")["lastFetched"] > fetched


def test_two_lists_in_one_dialect_are_refused(server, host):
    double = feed(host, "double", version=5)
    host.put("/double-2.json", double.publisher.uptane(target("double/os-1"), 3))
    shown = add(server, double, tufFetchUrl=host.url + "/double-2.json")
    assert (shown["state"], shown["problem"]["code"], shown["files"]) == ("refused", PARSE, [])


def test_the_name_for_people_survives_every_refresh(server, host):
    named = feed(host, "named-feed")
    add(server, named, friendlyName="From the bundle")
    for name, version in (("From the bundle", 2), ("Ours", 3)):
        if name != info(server)["named-feed"]["friendlyName"]:
            edit(server, "named-feed", friendlyName=name)
        named.publish(target("named-feed/os-1"), version)
        assert refresh(server, "named-feed").status == 200
        assert info(server)["named-feed"]["friendlyName"] == name


def seconds_until_next(shown):
    return time.mktime(time.strptime(shown["nextRefresh"], "%Y-%m-%dT%H:%M:%SZ")) - time.mktime(time.gmtime())


def test_the_next_refresh_is_by_schedule_sooner_near_expiry_and_backs_off(server, host):
    shown = add(server, feed(host, "hourly"))
    assert 0.94 * 3600 - 5 <= seconds_until_next(shown) <= 1.06 * 3600
    assert 0.94 * 600 - 5 <= seconds_until_next(add(server, feed(host, "often"), interval=600)) <= 1.06 * 600
    soon = feed(host, "soon")
    soon.publish(target("soon/os-1"), expires=when(time.time() + 1600))
    assert 0.94 * 200 - 5 <= seconds_until_next(add(server, soon)) <= 1.06 * 200
    host.status("/hourly.json", 500)
    for expected in (60, 120, 240):
        refused(refresh(server, "hourly"), 502)
        assert 0.94 * expected - 5 <= seconds_until_next(show(server, "hourly")) <= 1.06 * expected
