"""A source under attack: everything is refused, the reason can be seen, the old copy is served, memory stays.

All attacks run once, against one server; each test looks at what one of them left.
"""

import re
import threading
import time
from dataclasses import dataclass
from typing import Any

import pytest

from api.sources import SOURCES, call, show
from device.attacks import ATTACKS, FETCH, SLOW, Attack, second_id
from device.external import Supplier, carrier, device_get, role_of, supplier
from device.memory import MIB, Memory
from harness import PATIENCE, Answer, Server, http
from judges.uptane_canonical import canonical
from publisher import Host

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


def carried(server: Server, host: Host, attack_name: str, *, vouch: bool) -> Supplier:
    """A source with a good list of version 5. One of its keys has two ids; two keys must sign."""
    name = attack_name.lower().replace(" ", "-")
    one = supplier(host, name, keys=2, threshold=2)
    one.publish(f"{name}/os-1", version=5)
    bundle = one.bundle(vouch=vouch)
    bundle["delegationMetadata"]["keyids"].append(second_id(one.publisher.keys[0]).key_id)
    assert call(server, "POST", body=bundle).json["state"] == "fresh"
    return one


def outcome(server: Server, one: Supplier, attack: Attack) -> Outcome:
    before = served(server, one.name, vouch=attack.vouch)
    one.host.put(one.path("uptane"), attack.body(one), attack.headers, attack.status)
    started = time.monotonic()
    answer = http(server, "POST", f"{SOURCES}/{one.name}/refresh", timeout=60)
    seconds = time.monotonic() - started
    health = http(server, "GET", "/health/ready").json["sources"][one.name]
    seen = show(server, one.name), health, server.log.read_text()
    after = served(server, one.name, vouch=attack.vouch)
    return Outcome(attack, answer, seconds, *seen, before, after)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """What each attack left, by its name, and the growth of the server's memory over all of them."""
    found: dict[str, Outcome] = {}
    with carrier(tmp_path_factory.mktemp("attacks") / "data") as (server, host):
        slow = carried(server, host, "dripping stream", vouch=SLOW.vouch)

        def drip() -> None:
            found["dripping stream"] = outcome(server, slow, SLOW)

        dripping_thread = threading.Thread(target=drip)
        with Memory(server) as memory:
            dripping_thread.start()
            for name, attack in ATTACKS.items():
                one = carried(server, host, name, vouch=attack.vouch)
                found[name] = outcome(server, one, attack)
                assert call(server, "DELETE", f"/{one.name}").status == 200
            dripping_thread.join()
        yield found, memory.growth


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
