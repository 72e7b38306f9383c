"""A publisher with a list for each dialect: a good one is taken over, whatever the other one is."""

import contextlib
import json
import sqlite3
import time

import pytest

from api.calls import refused
from api.sources import add, delegated, edit, feed, refresh, remove_all, rows, served, show
from harness import http
from publisher import target

FETCH, VERSION = "delegation_remote_fetch_failed", "invalid_version_bump"
UPTANE, TUF = "fetchUrl", "tufFetchUrl"


@pytest.fixture
def server(trusting):
    """Without sources, before and after each test."""
    yield trusting
    remove_all(trusting)


def path_of(made, member):
    return made.path if member == UPTANE else f"/{made.name}.tuf.json"


def publish(made, version, *members):
    """The list of this version, in these dialects."""
    targets = target(f"{made.name}/os-{version}")
    for member in members:
        make = made.publisher.uptane if member == UPTANE else made.publisher.tuf
        made.host.put(path_of(made, member), make(targets, version))


def two(host, name):
    made = feed(host, name)
    publish(made, 1, UPTANE, TUF)
    return made, {TUF: host.url + path_of(made, TUF)}


def versions(shown):
    return {file["dialect"]: file["version"] for file in shown["files"]}


@pytest.mark.parametrize(("broken", "good"), [(TUF, UPTANE), (UPTANE, TUF)])
@pytest.mark.parametrize("kind", [FETCH, VERSION])
def test_a_bad_list_does_not_hold_up_the_good_one(server, host, kind, broken, good):
    made, more = two(host, f"pair-{broken[0]}-{kind[0]}")
    publish(made, 2, UPTANE, TUF)
    assert add(server, made, **more)["state"] == "fresh"
    before = show(server, made.name)["lastFetched"]
    publish(made, 3, good)
    if kind == FETCH:
        host.status(path_of(made, broken), 404)
    else:
        publish(made, 1, broken)
    time.sleep(1.1)
    error = refused(refresh(server, made.name), 502 if kind == FETCH else 409, kind, f"its {broken}.")
    shown = show(server, made.name)
    assert (shown["problem"]["code"], shown["problem"]["message"]) == (kind, error["msg"])
    assert shown["state"] == ("unreachable" if kind == FETCH else "refused")
    new = {"uptane": 3, "tuf": 2} if good == UPTANE else {"uptane": 2, "tuf": 3}
    assert versions(shown) == new
    assert (shown["lastFetched"] > before) is (good == UPTANE)
    for dialect, version in (("repo", new["uptane"]), ("tuf", new["tuf"])):
        assert list(delegated(server, dialect)) == [made.name]
        assert http(server, "GET", f"/{dialect}/{version}.{made.name}.json", token=None).status == 200
    assert [one["version"] for one in rows(server, made.name)] == [str(new["uptane"])]
    publish(made, 4, UPTANE, TUF)
    assert refresh(server, made.name).status == 200
    assert versions(show(server, made.name)) == {"uptane": 4, "tuf": 4}
    assert show(server, made.name)["state"] == "fresh"


@pytest.mark.parametrize(("broken", "dialect"), [(TUF, "repo"), (UPTANE, "tuf")])
def test_a_source_is_added_with_the_list_that_is_there(server, host, broken, dialect):
    made, more = two(host, f"half-{broken[0]}")
    host.status(path_of(made, broken), 500)
    shown = add(server, made, **more)
    assert (shown["state"], shown["problem"]["code"]) == ("unreachable", FETCH)
    [other] = {"repo", "tuf"} - {dialect}
    assert (list(delegated(server, dialect)), delegated(server, other)) == ([made.name], {})
    assert [one["version"] for one in rows(server, made.name)] == ["1"]
    publish(made, 1, broken)
    assert refresh(server, made.name).status == 200
    assert list(delegated(server, other)) == [made.name]


def test_two_bad_lists_change_nothing(server, host):
    made, more = two(host, "both-bad")
    add(server, made, **more)

    def seen():
        return versions(show(server, "both-bad")), served(server, "both-bad"), rows(server, "both-bad")

    before = seen()
    for member in (UPTANE, TUF):
        host.status(path_of(made, member), 404)
    refused(refresh(server, "both-bad"), 502, FETCH, f"its {UPTANE}.")
    assert seen() == before


def test_a_list_that_is_only_late_is_not_signed_in_the_place_of_its_publisher(server, host):
    """Clients of /tuf would have seen its version already, in other bytes."""
    made, more = two(host, "only-late")
    host.status(path_of(made, TUF), 404)
    add(server, made, **more, vouch=True)
    assert delegated(server, "tuf") == {}
    publish(made, 1, TUF)
    assert refresh(server, "only-late").status == 200
    assert list(delegated(server, "tuf")) == ["only-late"]
    host.status(path_of(made, TUF), 404)
    publish(made, 2, UPTANE)
    refused(refresh(server, "only-late"), 502, FETCH)
    edit(server, "only-late", tufFetchUrl=None)
    assert refresh(server, "only-late").status == 200
    assert list(delegated(server, "tuf")) == ["only-late"]
    assert [one["vouched"] for one in show(server, "only-late")["files"]] == [False, True]


def reasons(server, name):
    """What the journal says of refusals."""
    catalog = server.data_dir / "catalog.sqlite"
    with contextlib.closing(sqlite3.connect(catalog)) as connection:
        query = "SELECT detail FROM journal WHERE action = 'source.refused' AND subject = ? ORDER BY rowid"
        return [detail for (detail,) in connection.execute(query, (name,))]


def test_a_new_reason_is_in_the_journal_once(server, host):
    made, more = two(host, "told-once")
    add(server, made, **more)
    assert reasons(server, "told-once") == []
    host.status(path_of(made, TUF), 404)
    for _ in range(3):
        refused(refresh(server, "told-once"), 502, FETCH)
    assert reasons(server, "told-once") == [FETCH]
    host.status(path_of(made, UPTANE), 404)
    refused(refresh(server, "told-once"), 502, FETCH)
    host.put(path_of(made, UPTANE), json.dumps({"signatures": [], "signed": {}}).encode())
    refused(refresh(server, "told-once"), 502, "delegation_remote_parse_failed")
    assert reasons(server, "told-once") == [FETCH, "delegation_remote_parse_failed"]
    publish(made, 2, UPTANE, TUF)
    assert refresh(server, "told-once").status == 200
    host.status(path_of(made, TUF), 404)
    refused(refresh(server, "told-once"), 502, FETCH)
    assert reasons(server, "told-once") == [FETCH, "delegation_remote_parse_failed", FETCH]
