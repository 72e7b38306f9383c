"""A source under attack: everything is refused, the reason can be seen, the old copy is served, memory stays.

All attacks run once, against one server; each test looks at what one of them left.
"""

import re
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from api.sources import SOURCES, call, show
from device.attacks import ATTACKS, FETCH, SLOW, Attack, second_id
from device.external import Supplier, carrier, device_get, role_of, supplier
from device.memory import MIB, Memory
from harness import PATIENCE, Answer, Server, http
from judges.uptane_canonical import canonical
from publisher import Host
from resolver import Names

MOVING = "moving.test"
MOST_GROWTH = 32 * MIB
MOST_SECONDS = 30 + PATIENCE
"""The fetcher's whole time, and what comes after it."""


@dataclass
class Outcome:
    attack: Attack
    answer: Answer
    seconds: float
    shown: Any
    health: Any
    log: str
    before: dict[str, bytes]
    after: dict[str, bytes]


def served(server: Server, name: str, *, vouch: bool) -> dict[str, bytes]:
    """What devices get of a source, and how they are sent to it."""
    paths = [f"/repo/delegations/{name}.json", f"/repo/5.{name}.json"]
    paths += [f"/tuf/5.{name}.json"] if vouch else []
    answers = {path: device_get(server, path) for path in paths}
    assert {answer.status for answer in answers.values()} == {200}
    roles = {dialect: canonical(role_of(server, dialect, name)) for dialect in ("repo", "tuf")}
    return {path: answer.body for path, answer in answers.items()} | roles


def carried(server: Server, host: Host, names: Names, attack_name: str, attack: Attack) -> Supplier:
    """A source with a good list of version 5. One of its keys has two ids; two keys must sign."""
    name = attack_name.lower().replace(" ", "-")
    one = supplier(host, name, keys=2, threshold=2)
    one.publish(f"{name}/os-1", version=5)
    bundle = one.bundle(vouch=attack.vouch, **attack.options)
    if attack.moves_to:
        names.put(MOVING, "127.0.0.1")
        bundle["fetchUrl"] = bundle["fetchUrl"].replace("127.0.0.1", MOVING)
    bundle["delegationMetadata"]["keyids"].append(second_id(one.publisher.keys[0]).key_id)
    assert call(server, "POST", body=bundle).json["state"] == "fresh"
    return one


def outcome(server: Server, names: Names, one: Supplier, attack: Attack) -> Outcome:
    before = served(server, one.name, vouch=attack.vouch)
    if attack.moves_to:
        names.put(MOVING, attack.moves_to)
    one.host.put(one.path("uptane"), attack.body(one), attack.headers, attack.status)
    started = time.monotonic()
    answer = http(server, "POST", f"{SOURCES}/{one.name}/refresh", timeout=60)
    seconds = time.monotonic() - started
    health = http(server, "GET", "/health/ready").json["sources"][one.name]
    seen = show(server, one.name), health, server.log.read_text()
    after = served(server, one.name, vouch=attack.vouch)
    return Outcome(attack, answer, seconds, *seen, before, after)


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    return Names(tmp_path_factory.mktemp("names"))


@pytest.fixture(scope="module")
def carrying(tmp_path_factory, names):
    """A server, and a host for its suppliers."""
    with carrier(tmp_path_factory.mktemp("attacks") / "data", **names.environment) as both:
        yield both


@pytest.fixture(scope="module")
def attacked(carrying, names):
    """What each attack left, by its name, and the growth of the server's memory over all of them."""
    found: dict[str, Outcome] = {}
    server, host = carrying
    slow = carried(server, host, names, "dripping stream", SLOW)

    def drip() -> None:
        found["dripping stream"] = outcome(server, names, slow, SLOW)

    dripping_thread = threading.Thread(target=drip)
    with Memory(server) as memory:
        dripping_thread.start()
        for name, attack in ATTACKS.items():
            one = carried(server, host, names, name, attack)
            found[name] = outcome(server, names, one, attack)
            assert call(server, "DELETE", f"/{one.name}").status == 200
        dripping_thread.join()
    return found, memory.growth


every_attack = pytest.mark.parametrize("name", [*ATTACKS, "dripping stream"])


@pytest.fixture
def left(attacked, name):
    return attacked[0][name]


@every_attack
def test_an_attack_is_refused_with_a_code_that_says_what_it_was(left):
    assert (left.answer.status >= 400, left.answer.json["code"]) == (True, left.attack.code)
    assert re.search(left.attack.says, left.answer.json["msg"])
    assert left.seconds < MOST_SECONDS


@every_attack
def test_the_reason_is_in_the_state_of_the_source_and_in_the_log(left):
    reason = left.answer.json["msg"]
    state = "unreachable" if left.attack.code == FETCH else "refused"
    assert (left.shown["state"], left.shown["problem"]["code"]) == (state, left.attack.code)
    assert left.shown["problem"]["message"] == reason
    assert (left.health["state"], left.health["reason"]) == (state, left.attack.code)
    assert f"{left.shown['name']}: {reason}" in left.log


@every_attack
def test_the_old_copy_is_served_byte_for_byte(left):
    assert left.after == left.before


def test_the_memory_of_the_server_hardly_grows_over_all_of_them(attacked):
    assert attacked[1] < MOST_GROWTH


def test_a_name_that_moves_between_the_judgement_and_the_connection_gains_nothing(carrying, names):
    server, host = carrying
    names.put(MOVING, "127.0.0.1")
    one = supplier(host, "rebinding")
    bundle = one.bundle()
    bundle["fetchUrl"] = bundle["fetchUrl"].replace("127.0.0.1", MOVING)
    assert call(server, "POST", body=bundle).json["state"] == "fresh"
    one.publish("rebinding/os-2", version=2)
    port = urlsplit(host.url).port
    with socket.create_server(("127.0.0.2", port)) as inside:
        inside.settimeout(0.2)
        names.put(MOVING, "127.0.0.1", "127.0.0.2")
        assert one.refresh(server).status == 200
        assert names.asked(MOVING) == 1, "whoever asks again may be told another address"
        with pytest.raises(TimeoutError):
            inside.accept()
    assert device_get(server, "/repo/delegations/rebinding.json").body == one.raw["uptane"]
