"""Bundles: what a source may be called, whom it may trust, and where it may be fetched."""

import json

import pytest

from api.calls import refused
from api.sources import add, call, delegated, done, every, feed, remove_all, show, signed, state_of
from harness import http
from publisher import Publisher, serving, target

KEY = Publisher("bad").keys[0].stated
PUBLIC = KEY["keyval"]["public"]
SPACED = " ".join(PUBLIC[at : at + 2] for at in range(0, 64, 2))
LONG = "x" * 51


@pytest.fixture
def server(trusting):
    """Without sources, before and after each test."""
    yield trusting
    remove_all(trusting)


def about(**members):
    """A bundle with other members in its delegationMetadata; None leaves one out."""
    stated = Publisher("bad").bundle("https://example.com/x")["delegationMetadata"] | members
    return {"delegationMetadata": {name: value for name, value in stated.items() if value is not ...}}


def key(**members):
    """A bundle with one key, in which these members are others."""
    return {"keys": [{name: value for name, value in (KEY | members).items() if value is not ...}]}


WRONG = {
    "keys are missing": ({"keys": ...}, "keys"),
    "keys are null": ({"keys": None}, "keys"),
    "keys are text": ({"keys": "x"}, "keys"),
    "there is no key": ({"keys": []}, "key"),
    "a key is no object": ({"keys": ["x"]}, "key"),
    "a key has no keytype": (key(keytype=...), "keytype"),
    "a key is of an unknown type": (key(keytype="dsa"), "dsa"),
    "a keytype is no text": (key(keytype=[1]), "keytype"),
    "a key has no keyval": (key(keyval=...), "key"),
    "a keyval is text": (key(keyval="x"), "key"),
    "a public part is no text": (key(keyval={"public": 5}), "key"),
    "a public part is no hexadecimal": (key(keyval={"public": "zz" * 32}), "public"),
    "a public part is short": (key(keyval={"public": "ab" * 31}), "public"),
    "a public part has blanks": (key(keyval={"public": SPACED}), "public"),
    "a public part ends with a line break": (
        key(keyval={"public": PUBLIC + "\n"}),
        "public",
    ),
    "an RSA key is no PEM": (key(keytype="RSA", keyval={"public": "x"}), "public"),
    "a private part is there": (key(keyval=KEY["keyval"] | {"private": "secret-part"}), "private"),
    "a key id is not the hash of its key": ({"keys": {"0" * 64: KEY}} | about(keyids=["0" * 64]), "hash"),
    "there is no metadata": ({"delegationMetadata": ...}, "delegationMetadata"),
    "the metadata is null": ({"delegationMetadata": None}, "delegationMetadata"),
    "the metadata is a list": ({"delegationMetadata": []}, "delegationMetadata"),
    "the name is missing": (about(name=...), "name"),
    "the name is null": (about(name=None), "name"),
    "the name is a number": (about(name=5), "name"),
    "the name is true": (about(name=True), "name"),
    "keyids are text": (about(keyids="x"), "keyids"),
    "keyids are empty": (about(keyids=[]), "keyids"),
    "a keyid is a number": (about(keyids=[5]), "key"),
    "a keyid is a list": (about(keyids=[[]]), "key"),
    "a keyid is unknown": (about(keyids=["ab"]), "ab"),
    "paths are missing": (about(paths=...), "paths"),
    "paths are text": (about(paths="bad/*"), "paths"),
    "paths are empty": (about(paths=[]), "paths"),
    "paths are too many": (about(paths=[f"{number}/*" for number in range(65)]), "64"),
    "a path is a number": (about(paths=[5]), "path"),
    "a path is empty": (about(paths=[""]), "path"),
    "a path is too long": (about(paths=["x" * 254]), "253"),
    "a path climbs": (about(paths=["../x"]), ".."),
    "a path ends with a slash": (about(paths=["bad/"]), "bad/"),
    "the threshold is zero": (about(threshold=0), "threshold"),
    "the threshold is true": (about(threshold=True), "threshold"),
    "the threshold is text": (about(threshold="1"), "threshold"),
    "the threshold is more than its keys": (about(threshold=2), "threshold"),
    "the URL is missing": ({"fetchUrl": ...}, "fetchUrl"),
    "the URL is null": ({"fetchUrl": None}, "fetchUrl"),
    "the URL is a number": ({"fetchUrl": {"uri": 5}}, "fetchUrl"),
    "the URL is an empty object": ({"fetchUrl": {}}, "fetchUrl"),
    "the name for people is a number": ({"friendlyName": 5}, "friendlyName"),
    "the name for people is long": ({"friendlyName": "x" * 81}, "friendly"),
    "the interval is short": ({"interval": 5}, "interval"),
    "the interval is text": ({"interval": "3600"}, "interval"),
    "insecure is text": ({"insecure": "true"}, "insecure"),
    "vouch is a number": ({"vouch": 1}, "vouch"),
    "headers are a list": ({"headers": []}, "headers"),
    "a header is a number": ({"headers": {"X-A": 1}}, "headers"),
    "the yes is text": ({"acceptOverlap": "true"}, "acceptOverlap"),
}


@pytest.mark.parametrize("change", WRONG)
def test_a_bad_bundle_is_refused_with_what_is_wrong(server, change):
    members, word = WRONG[change]
    bundle = Publisher("bad").bundle("https://127.0.0.1:1/bad.json") | members
    bundle = {name: value for name, value in bundle.items() if value is not ...}
    error = refused(call(server, "POST", body=bundle), 400, "invalid_entity", word)
    assert "secret-part" not in json.dumps(error)
    assert every(server) == []


@pytest.mark.parametrize(
    "raw", [b"", b"null", b"[]", b'"x"', b"{", b'{"keys":[],"keys":[]}', b"\xff", b"1e3"]
)
def test_what_is_no_object_is_no_bundle(server, raw):
    refused(call(server, "POST", body=raw), 400, "invalid_entity")


def test_a_bundle_too_large_is_refused(server, host):
    bundle = feed(host, "large").bundle(more="x" * 1_100_000)
    refused(call(server, "POST", body=bundle), 413, "payload_too_large")


@pytest.mark.parametrize(
    "name", ["", ".", ".x", "a/b", "a b", "ä", "a\n", "a%2Fb", LONG, "p-0a", "P-0A", "p-0123456789abcdef"]
)
def test_names_that_are_no_source_are_refused(server, host, name):
    answer = call(server, "POST", body=feed(host, "named").bundle(name=name))
    refused(answer, 400, "invalid_entity", "source name")


@pytest.mark.parametrize("suffix", ["", ".json", ".json.json"])
@pytest.mark.parametrize(
    "name", ["root", "targets", "Snapshot", "TIMESTAMP", "offline-updates", "offline-snapshot"]
)
def test_reserved_names_are_refused(server, host, name, suffix):
    answer = call(server, "POST", body=feed(host, "named").bundle(name=name + suffix))
    refused(answer, 400, "invalid_entity", name, "role of this repository")


@pytest.mark.parametrize("name", ["1.root", "2.x", "10.targets"])
def test_names_that_devices_could_not_fetch_are_refused(server, host, name):
    """`2.x.json` is version 2 of x.json."""
    answer = call(server, "POST", body=feed(host, "named").bundle(name=name))
    refused(answer, 400, "invalid_entity", name)


@pytest.mark.parametrize("name", ["p-", "p-xyz", "5", "-", "_", "A.b-C_9", "x" * 50, "p-0a-b"])
def test_names_beside_the_reserved_ones_are_taken(server, host, name):
    assert add(server, feed(host, "named"), name=name)["name"] == name
    assert list(delegated(server)) == [name]


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "x",
            "ftp://example.com/x",
            "https://",
            "https:///x",
            "https:// example.com/",
            "file:///etc/passwd",
        ),
        *("https://example.com:99999/", "https://example.com/\n", "https://user:topsecret@example.com/x"),
        "https://example.com/" + "x" * 2048,
    ],
)
def test_a_fetch_url_that_cannot_be_fetched_is_refused_at_once(server, host, url):
    tdx = feed(host, "nowhere")
    for member in ("fetchUrl", "tufFetchUrl"):
        error = refused(call(server, "POST", body=tdx.bundle(**{member: url})), 400, "invalid_entity")
        assert "topsecret" not in json.dumps(error)
    add(server, tdx)
    refused(call(server, "PATCH", "/nowhere", {"fetchUrl": url}), 400, "invalid_entity")
    assert "topsecret" not in server.log_tail(1_000_000)


def test_plain_http_needs_the_switch_of_this_source(server, host):
    plain = feed(host, "plain")
    secure = {"fetchUrl": "https://example.com/x", "tufFetchUrl": plain.url}
    for members in ({}, secure):
        answer = call(server, "POST", body=plain.bundle(insecure=False, **members))
        refused(answer, 400, "invalid_entity", "https", "insecure")
    assert (every(server), plain.requests) == ([], 0)
    assert add(server, plain)["insecure"] is True


def test_a_private_address_needs_the_switch_of_this_source(server):
    with serving(tls=True) as private:
        shown = add(server, feed(private, "private"), insecure=False)
        assert (shown["state"], shown["problem"]["code"]) == ("unreachable", "delegation_remote_fetch_failed")
        assert "port" in shown["problem"]["message"] or "not public" in shown["problem"]["message"]
        assert private.requests.total() == 0
    shown = add(server, feed(private, "local"), insecure=False, fetchUrl="https://localhost/x")
    assert "not public" in shown["problem"]["message"]


def test_patterns_that_clients_read_differently_are_told_at_adding(server, host):
    paths = ["exact/os-1.0", "star/*", "one?", "set[ab]", "back\\slash", "ü?"]
    shown = add(server, feed(host, "odd", target("exact/os-1.0"), paths=paths))
    told = [text for text in shown["warnings"] if text.startswith("the path")]
    assert len(told) == len(paths) - 1
    assert not any("exact" in text for text in told)
    assert show(server, "odd")["warnings"] == shown["warnings"]


def test_keys_may_be_an_object_and_unnamed_ids_are_computed(server, host):
    for name, keys, keyids in (("by-id", dict, True), ("no-ids", list, False), ("table", dict, False)):
        tdx = feed(host, name)
        bundle = tdx.bundle()
        [trusted] = tdx.publisher.keys
        bundle["keys"] = {trusted.key_id: trusted.stated} if keys is dict else [trusted.stated]
        if not keyids:
            del bundle["delegationMetadata"]["keyids"]
        shown = done(call(server, "POST", body=bundle))
        assert shown["state"] == "fresh", shown
        assert trusted.key_id in shown["keyids"]


def test_a_key_id_that_another_source_uses_for_another_key_is_refused(server, host):
    """Ids that are no hashes are free to choose; in targets.json they share one object."""

    def by_short_id(name):
        made = feed(host, name)
        bundle = made.bundle(keys={"k": made.publisher.keys[0].stated})
        bundle["delegationMetadata"]["keyids"] = ["k"]
        document = json.loads(made.publisher.uptane(target(f"{name}/os-1.0")))
        document["signatures"][0]["keyid"] = "k"
        host.put(made.path, json.dumps(document).encode())
        return bundle

    assert call(server, "POST", body=by_short_id("mine")).json["state"] == "fresh"
    before, keys = state_of(server, "mine"), signed(server, "targets")["delegations"]["keys"]
    refused(call(server, "POST", body=by_short_id("theirs")), 409, "conflicting_entity", "'k'", "mine")
    assert (state_of(server, "mine"), signed(server, "targets")["delegations"]["keys"]) == (before, keys)
    assert every(server) == ["mine"]


def test_the_own_bundle_names_the_feed_and_stays_the_same_when_our_list_delegates(server, host):
    path = "/api/otarium/v1/bundle"
    bundle = done(http(server, "GET", path + "?name=ours.json&path=own/*&path=more/*"))
    about = bundle["delegationMetadata"]
    assert (about["name"], about["paths"], about["terminating"]) == ("ours", ["own/*", "more/*"], False)
    assert (bundle["fetchUrl"], bundle["targetsUrl"]) == (
        server.repo + "/feed/targets.json",
        server.repo + "/targets/",
    )
    assert bundle["keys"] and bundle["tufFetchUrl"] == server.tuf + "/feed/targets.json"
    for query in ("name=root", "name=p-0a", "path=../x", "path=", "name=a/b"):
        refused(http(server, "GET", f"{path}?{query}"), 400, "invalid_entity")
    before = done(http(server, "GET", path))
    add(server, feed(host, "in-the-way"))
    assert done(http(server, "GET", path)) == before
