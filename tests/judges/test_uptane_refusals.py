"""One thing is wrong in an otherwise good repository, signed anew around it, and the device refuses."""

import pytest

from judges import uptane_errors as errors
from judges.forge import BASE, VECTORS, Forge, Memory
from judges.mutations import HARMLESS, ONLY_STRICT, REFUSED
from judges.uptane import UptaneDevice

NOW = "2026-11-23T18:00:00Z"


def device_for(forge: Forge, *, strict: bool = False) -> UptaneDevice:
    return UptaneDevice(BASE, "docker-compose", fetch=Memory(forge.build()), now=lambda: NOW, strict=strict)


def outcome(forge: Forge, *, strict: bool = False) -> str:
    device = device_for(forge, strict=strict)
    try:
        device.refresh()
        device.download("my-app-1.0.0")
        device.find("tdx/none")
    except errors.NotMatching:
        return "accepted"
    except errors.UptaneError as error:
        return type(error).__name__
    raise AssertionError("a target was found that nobody published")


@pytest.mark.parametrize("case", REFUSED)
def test_a_device_refuses(case: str) -> None:
    expected, change = REFUSED[case]
    forge = Forge()
    change(forge)
    assert outcome(forge) == expected


@pytest.mark.parametrize("case", ONLY_STRICT)
def test_a_server_owes_more_than_a_device_checks(case: str) -> None:
    expected, change = ONLY_STRICT[case]
    forge = Forge()
    change(forge)
    assert outcome(forge, strict=True) == expected
    assert outcome(forge) == "accepted"


@pytest.mark.parametrize("case", HARMLESS)
def test_a_device_does_not_mind(case: str) -> None:
    forge = Forge()
    HARMLESS[case](forge)
    assert outcome(forge, strict=True) == "accepted"


def test_the_forge_makes_the_vectors_byte_for_byte() -> None:
    forge = Forge()
    root_line = forge.signed["snapshot"]["meta"]["root.json"]
    files = forge.build()
    assert forge.signed["snapshot"]["meta"]["root.json"] == root_line
    for served_as in (
        "1.root.json",
        "delegations/tdx-nightly.json",
        "targets.json",
        "snapshot.json",
        "timestamp.json",
    ):
        name = served_as.removeprefix("1.").removeprefix("delegations/")
        assert files[served_as] == (VECTORS / name).read_bytes(), served_as
