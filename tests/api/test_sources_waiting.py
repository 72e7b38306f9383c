"""Refreshing many at once, in the background, and beside publishers that are slow."""

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.calls import page, refused
from api.sources import add, call, delegated, done, edit, every, feed, refresh, remove, remove_all, rows, show
from api.traces import release_of
from harness import PATIENCE, http, running_server, upload
from publisher import Publisher, serving, target

CALLERS = 50


@pytest.fixture
def server(trusting):
    """Without sources, before and after each test."""
    yield trusting
    remove_all(trusting)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two workers, and a timestamp that is renewed twice a second."""
    lifetime = {"OTARIUM_TIMESTAMP_LIFETIME": "4"}
    with running_server(tmp_path_factory.mktemp("pair") / "data", workers=2, env=lifetime) as running:
        yield running


@pytest.fixture
def slow():
    """A host that may be held."""
    with serving() as made:
        yield made


@contextlib.contextmanager
def while_fetched(server, made):
    """A refresh waits for its publisher until the block ends; what it answers is appended to the list."""
    answers, asked = [], made.requests
    thread = threading.Thread(target=lambda: answers.append(refresh(server, made.name)))
    with made.host.holding():
        thread.start()
        wait_until(lambda: made.requests > asked)
        yield answers
    thread.join()


def wait_until(check, seconds=12):
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.1)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("status", [200, 500])
def test_of_many_who_ask_at_once_one_request_serves_all(server, pair, slow, workers, status):
    asked = pair if workers == 2 else server
    wanted = feed(slow, f"wanted-{workers}-{status}")
    add(asked, wanted)
    wanted.publish(target(f"{wanted.name}/os-2"), 2)
    if status != 200:
        slow.status(wanted.path, status)
    with ThreadPoolExecutor(CALLERS) as pool:
        with slow.holding():
            answers = pool.map(lambda _: refresh(asked, wanted.name), range(CALLERS))
            time.sleep(2)  # now all of them have asked
        answers = list(answers)
    assert [answer.status for answer in answers] == [status if status == 200 else 502] * CALLERS
    assert wanted.requests == 2  # the other one was to add it
    assert [one["version"] for one in rows(asked, wanted.name)] == ["2" if status == 200 else "1.0"]
    remove(asked, wanted.name)


def test_a_slow_publisher_blocks_neither_requests_nor_renewal(pair, slow):
    late = feed(slow, "late")
    add(pair, late)
    before = release_of(pair)
    with while_fetched(pair, late) as answers:
        upload(pair, "beside-late", "1", b"x")
        for _ in range(20):
            assert page(pair, "limit=1")["total"] >= 2
            assert call(pair, "GET", "/late").status == 200
        assert http(pair, "GET", "/health/ready").status == 200
        wait_until(lambda: release_of(pair) > before + 1)
        assert not answers
    assert answers[0].status == 200


def test_silent_publishers_keep_no_other_source_waiting(server, host, slow):
    """Had the other one to wait, the silent ones would not have begun to answer in time."""
    silent = [feed(slow, f"silent-{number}") for number in range(6)]
    for made in silent:
        add(server, made)
    healthy = feed(host, "healthy")
    with ThreadPoolExecutor(6) as pool:
        with slow.holding():
            answers = pool.map(lambda made: refresh(server, made.name), silent)
            wait_until(lambda: all(made.requests == 2 for made in silent))
            assert add(server, healthy)["state"] == "fresh"
            assert refresh(server, "healthy").status == 200
        assert [answer.status for answer in answers] == [200] * 6


def test_many_refreshes_that_end_at_once_leave_the_server_answering(server):
    with ThreadPoolExecutor(16) as pool:
        answers = pool.map(lambda number: refresh(server, f"nobody-{number % 5}", timeout=20), range(400))
        assert {answer.status for answer in answers} == {404}
    assert http(server, "GET", "/health/ready").status == 200


def test_a_source_removed_while_it_is_fetched_stays_removed(server, slow):
    going = feed(slow, "going")
    add(server, going)
    going.publish(target("going/os-2"), 2)
    with while_fetched(server, going) as answers:
        remove(server, "going")
    refused(answers[0], 404, "delegations_not_found")
    assert (every(server), rows(server, "going"), delegated(server)) == ([], [], {})


def test_a_source_disabled_while_it_is_fetched_stays_disabled(server, slow):
    dozing = feed(slow, "dozing")
    add(server, dozing)
    dozing.publish(target("dozing/os-2"), 2)
    with while_fetched(server, dozing):
        edit(server, "dozing", enabled=False, friendlyName="Said meanwhile")
    assert (rows(server, "dozing"), delegated(server)) == ([], {})
    shown = show(server, "dozing")
    assert (shown["enabled"], shown["friendlyName"]) == (False, "Said meanwhile")
    edit(server, "dozing", enabled=True)
    assert refresh(server, "dozing").status == 200
    assert [one["version"] for one in rows(server, "dozing")] == ["2"]


def test_a_source_replaced_while_it_is_fetched_takes_nothing_of_the_old_keys(server, slow):
    swapped = feed(slow, "swapped")
    add(server, swapped)
    swapped.publish(target("swapped/os-2"), 2)
    other = Publisher("swapped-other", ["swapped/*"])
    bundle = swapped.bundle() | {"keys": [other.keys[0].stated]}
    bundle["delegationMetadata"] = bundle["delegationMetadata"] | {"keyids": [other.keys[0].key_id]}
    with ThreadPoolExecutor(1) as pool:
        with while_fetched(server, swapped) as answers:
            remove(server, "swapped")
            adding = pool.submit(call, server, "POST", body=bundle)
            time.sleep(0.3)
        added = done(adding.result())
    assert answers[0].status in (404, 409)
    assert (added["state"], added["lastFetched"]) != ("fresh", None)
    refused(refresh(server, "swapped"), 400, "payload_signature_invalid")
    assert (rows(server, "swapped"), delegated(server)) == ([], {})


def test_what_is_due_is_fetched_in_the_background_and_a_stop_waits_for_none_of_it(pair, host):
    """An edit makes a source due, unless it disables it. The last test of this server."""
    awake, broken, asleep = [feed(host, name) for name in ("awake", "broken", "sleeper")]
    dripping = feed(host, "dripping")
    for made in (awake, broken, asleep, dripping):
        add(pair, made)
    awake.publish(target("awake/os-2"), 2)
    host.put(broken.path, b"no list")
    host.put(dripping.path, _drops)
    for made in (awake, broken, asleep, dripping):
        edit(pair, made.name, interval=60, enabled=made is not asleep)
    wait_until(lambda: rows(pair, "awake")[0]["version"] == "2")
    wait_until(lambda: show(pair, "broken")["problem"])
    assert show(pair, "broken")["problem"]["code"] == "delegation_remote_parse_failed"
    assert rows(pair, "broken")[0]["version"] == "1.0"
    assert "source broken: " in pair.log_tail(100_000)
    assert [made.requests for made in (awake, broken, asleep, dripping)] == [2, 2, 1, 2]
    started = time.monotonic()
    assert pair.stop() == 0
    assert time.monotonic() - started < 3 + PATIENCE


def _drops():
    """For as long as anybody listens; a fetch gives up after 30 seconds."""
    while True:
        yield b" "
        time.sleep(0.1)
