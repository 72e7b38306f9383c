"""The judge's device over time: which requests it makes, and what it remembers."""

import pytest

from judges import uptane_errors as errors
from judges.forge import BASE, BODY, SEEDS, Forge, Memory, key_entry
from judges.uptane import UptaneDevice
from judges.uptane_transport import Response

NOW = "2026-11-23T18:00:00Z"
FIRST_CONTACT = ["1.root.json", "2.root.json", "timestamp.json", "snapshot.json", "targets.json"]


@pytest.fixture
def forge() -> Forge:
    return Forge()


@pytest.fixture
def memory(forge: Forge) -> Memory:
    return Memory(forge.build())


@pytest.fixture
def device(memory: Memory) -> UptaneDevice:
    return UptaneDevice(BASE, "docker-compose", fetch=memory, now=lambda: NOW, strict=True)


def asked(device: UptaneDevice) -> list[str]:
    found, device.requests[:] = list(device.requests), []
    return found


def test_first_contact_asks_in_the_known_order_and_later_cycles_skip_what_is_unchanged(forge, memory, device):
    device.refresh()
    assert asked(device) == FIRST_CONTACT
    device.refresh()
    assert asked(device) == ["2.root.json", "timestamp.json"]
    forge.publish()
    memory.files.update(forge.build())
    device.refresh()
    assert asked(device) == ["2.root.json", "timestamp.json", "snapshot.json", "targets.json"]
    assert device.download("my-app-1.0.0") == BODY
    assert asked(device) == ["targets/my-app-1.0.0"]


def test_a_renewed_timestamp_alone_asks_for_nothing_else(forge, memory, device):
    device.refresh()
    forge.signed["timestamp"]["version"] += 1
    memory.files.update(forge.build())
    asked(device)
    device.refresh()
    assert asked(device) == ["2.root.json", "timestamp.json"]


@pytest.mark.parametrize("status", [404, 403])
def test_the_probe_for_the_next_root_ends_silently(memory, device, status):
    memory.scripted["2.root.json"] = [Response(status)]
    device.refresh()
    assert device.roots[-1].version == 1


def test_a_server_error_at_the_next_root_is_asked_three_times_and_then_ignored(memory, device):
    memory.scripted["2.root.json"] = [Response(503)] * 3
    device.refresh()
    assert device.requests.count("2.root.json") == 3


def test_a_server_error_at_timestamp_is_retried_and_a_lasting_one_fails_the_cycle(memory, device):
    memory.scripted["timestamp.json"] = [Response(502)] * 2
    device.refresh()
    memory.scripted["timestamp.json"] = [Response(502)] * 3
    with pytest.raises(errors.FetchFailed):
        device.refresh()


def test_a_page_of_html_as_next_root_fails_the_whole_cycle(memory, device):
    memory.files["2.root.json"] = b"<html></html>"
    with pytest.raises(errors.Malformed):
        device.refresh()


def test_the_first_root_must_be_there(memory, device):
    memory.files["root.json"] = memory.files.pop("1.root.json")
    with pytest.raises(errors.FetchFailed):
        device.refresh()


def test_a_next_root_signed_by_old_and_new_keys_is_followed_and_drops_what_was_stored(forge, memory, device):
    device.refresh()
    new = {"keyids": ["new"], "threshold": 1}
    keys = forge.signed["root"]["keys"] | {"new": key_entry(8)}
    both = [(SEEDS["root"], forge.keyids["root"]), (8, "new")]
    roles = forge.signed["root"]["roles"] | {"root": new}
    memory.files["2.root.json"] = forge.next_root(signers=both, keys=keys, roles=roles)
    asked(device)
    device.refresh()
    wanted = ["2.root.json", "3.root.json", "timestamp.json", "snapshot.json", "targets.json"]
    assert asked(device) == wanted
    assert [root.version for root in device.roots] == [1, 2]


def test_a_next_root_signed_by_its_new_key_alone_is_refused(forge, memory, device):
    keys = forge.signed["root"]["keys"] | {"new": key_entry(8)}
    roles = forge.signed["root"]["roles"] | {"root": {"keyids": ["new"], "threshold": 1}}
    memory.files["2.root.json"] = forge.next_root(signers=[(8, "new")], keys=keys, roles=roles)
    with pytest.raises(errors.BadSignatures):
        device.refresh()


def test_a_next_root_that_skips_a_version_is_refused(forge, memory, device):
    memory.files["2.root.json"] = forge.next_root(version=3)
    with pytest.raises(errors.WrongVersion):
        device.refresh()


def test_an_expired_root_is_harmless_when_a_good_one_follows(forge, memory, device):
    memory.files["2.root.json"] = forge.next_root()
    forge.signed["root"]["expires"] = "2026-01-01T00:00:00Z"
    memory.files["1.root.json"] = forge.build()["1.root.json"]
    device.refresh()
    assert device.roots[-1].version == 2


def test_a_timestamp_version_that_falls_is_a_rollback(forge, memory, device):
    forge.publish()
    memory.files.update(forge.build())
    device.refresh()
    memory.files.update(Forge().build())
    with pytest.raises(errors.Rollback):
        device.refresh()


@pytest.mark.parametrize("role", ["snapshot", "targets"])
def test_a_falling_version_below_timestamp_is_noticed_only_when_strict(forge, memory, device, role):
    lax = UptaneDevice(BASE, "docker-compose", fetch=memory, now=lambda: NOW)
    for follower in (device, lax):
        follower.refresh()
    forge.publish()
    forge.signed[role]["version"] = 1
    memory.files.update(forge.build())
    lax.refresh()
    with pytest.raises(errors.Rollback):
        device.refresh()


def test_falling_targets_are_noticed_when_snapshot_gives_no_hash(forge, memory):
    lax = UptaneDevice(BASE, "docker-compose", fetch=memory, now=lambda: NOW)
    lax.refresh()
    forge.publish()
    forge.signed["targets"]["version"] = 1
    forge.spoil_line["targets"] = lambda line, _: line.pop("hashes")
    memory.files.update(forge.build())
    with pytest.raises(errors.Rollback):
        lax.refresh()


def test_a_timestamp_version_with_other_bytes_is_refused_when_strict(forge, memory, device):
    device.refresh()
    forge.signed["timestamp"]["expires"] = "2026-12-25T12:00:00Z"
    memory.files.update(forge.build())
    with pytest.raises(errors.Rollback):
        device.refresh()
