"""How the judge's device finds a target, through delegations too, and how it fetches the bytes."""

import pytest

from judges import uptane_errors as errors
from judges.forge import BASE, BODY, Forge, Memory, target_entry
from judges.uptane import UptaneDevice
from judges.uptane_transport import Response

NOW = "2026-11-23T18:00:00Z"


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


def test_a_target_for_other_hardware_or_of_no_known_name_does_not_match(memory, device):
    device.refresh()
    other = UptaneDevice(BASE, "verdin-imx8mp", fetch=memory, now=lambda: NOW)
    other.refresh()
    with pytest.raises(errors.NotMatching):
        other.find("my-app-1.0.0")
    with pytest.raises(errors.NotMatching):
        device.find("my-app-2.0.0")
    assert other.find("tdx/os-1.0").role == "delegations/tdx-nightly.json"


def test_a_delegation_is_fetched_only_when_its_patterns_match_and_only_once(device):
    device.hardware_id = "verdin-imx8mp"
    device.refresh()
    asked(device)
    for _ in range(2):
        assert device.find("tdx/os-1.0").length == 0
    with pytest.raises(errors.NotMatching):
        device.find("os-1.0")
    assert asked(device) == ["delegations/tdx-nightly.json"]


def test_a_cached_delegation_with_new_bytes_and_an_old_version_fails_every_cycle(forge, memory, device):
    device.refresh()
    with pytest.raises(errors.NotMatching):
        device.find("tdx/none")
    forge.publish()
    forge.signed["tdx-nightly"]["expires"] = "2027-12-01T00:00:00Z"
    memory.files.update(forge.build())
    device.refresh()
    with pytest.raises(errors.WrongHash):
        device.find("tdx/none")


def test_an_expired_delegation_is_skipped_and_a_terminating_one_does_not_stop_its_siblings(
    forge, memory, device
):
    forge.signed["tdx-nightly"]["expires"] = "2026-01-01T00:00:00Z"
    forge.delegate("targets", "a", ["lib/*"], {}, terminating=True)
    forge.delegate("targets", "b", ["lib/*"], {"lib/x/1": target_entry(BODY, "docker-compose")})
    for late in ("a", "b"):
        forge.signed[late]["expires"] = "2027-01-01T00:00:00Z"
    memory.files.update(forge.build())
    device.refresh()
    assert device.find("lib/x/1").role == "delegations/b.json"
    with pytest.raises(errors.NotMatching):
        device.find("tdx/os-1.0")


def test_five_levels_of_delegation_are_searched_and_the_sixth_is_not(forge, memory, device):
    parent = "targets"
    for level in range(1, 7):
        forge.delegate(
            parent, f"l{level}", ["deep*"], {f"deep-{level}": target_entry(BODY, "docker-compose")}
        )
        parent = f"l{level}"
    memory.files.update(forge.build())
    device.refresh()
    assert device.find("deep-5").role == "delegations/l5.json"
    with pytest.raises(errors.NotMatching):
        device.find("deep-6")


def test_a_name_is_percent_encoded_but_for_slashes_and_a_uri_wins(forge, memory, device):
    name, body = "a/b c+d%é~1.0", b"bytes"
    forge.signed["targets"]["targets"] |= {
        name: target_entry(body, "docker-compose"),
        "else-1": target_entry(body, "docker-compose", uri="memory:/store/x"),
        "unset-1": target_entry(body, "docker-compose", uri="https://example.com/"),
    }
    memory.files.update(forge.build())
    memory.files |= {
        "targets/a/b%20c%2Bd%25%C3%A9~1.0": body,
        "memory:/store/x": body,
        "targets/unset-1": body,
    }
    device.refresh()
    assert all(device.download(wanted) == body for wanted in (name, "else-1", "unset-1"))


def test_a_broken_transfer_is_resumed_where_it_ended(memory, device):
    device.refresh()
    memory.scripted["targets/my-app-1.0.0"] = [
        Response(200, BODY[:4], broken=True),
        Response(206, BODY[4:], {"content-range": "bytes 4-12/13"}),
    ]
    assert device.download("my-app-1.0.0") == BODY
    assert memory.headers[-1] == {"Range": "bytes=4-"}


def test_a_server_without_ranges_is_read_from_the_start_again(memory, device):
    device.refresh()
    assert device.download("my-app-1.0.0", have=BODY[:6]) == BODY


def test_a_range_that_starts_elsewhere_is_refused(memory, device):
    device.refresh()
    memory.scripted["targets/my-app-1.0.0"] = [Response(206, BODY[5:], {"content-range": "bytes 5-12/13"})]
    with pytest.raises(errors.DownloadFailed):
        device.download("my-app-1.0.0", have=BODY[:4])
