"""What a device reads of every target of a file before it looks at any: `custom`, length and hashes.

A device takes JSON values as text, or as objects, without asking what they are. Where they cannot be taken so
it stops, and the whole file is lost to it, whichever target it wants.
"""

from collections.abc import Iterator
from typing import Any

from judges.uptane_errors import Malformed

_HARDWARE_ID, _SERIAL = 200, 64


def read_targets(signed: dict[str, Any], what: str) -> None:
    for name, entry in _items(signed.get("targets")):
        _read_target(entry, f"{what}: target {name!r}")
    if isinstance(signed.get("custom"), dict):
        _text(signed["custom"].get("correlationId"), f"{what}: correlationId")


def _read_target(entry: Any, what: str) -> None:
    _read_custom(_member(entry, "custom", what), f"{what}: custom")
    length = _member(entry, "length", what)
    if not isinstance(length, bool | None) and not (isinstance(length, int) and 0 <= length < 2**64):
        raise Malformed(f"{what}: length {length!r}")
    for kind, value in _items(_member(entry, "hashes", what)):
        _text(value, f"{what}: {kind}")


def _read_custom(custom: Any, what: str) -> None:
    for _, value in _items(_member(custom, "hardwareIds", what)):
        _bounded(value, 0, _HARDWARE_ID, f"{what}: hardwareIds")
    for serial, ecu in _items(_member(custom, "ecuIdentifiers", what)):
        _bounded(serial, 1, _SERIAL, f"{what}: ecuIdentifiers")
        _bounded(_member(ecu, "hardwareId", what), 0, _HARDWARE_ID, f"{what}: ecuIdentifiers")
    for member in ("targetFormat", "uri"):
        _text(_member(custom, member, what), f"{what}: {member}")


def _member(value: Any, name: str, what: str) -> Any:
    """Of null too, which has none."""
    if value is not None and not isinstance(value, dict):
        raise Malformed(f"{what}: {value!r} is asked for {name}")
    return (value or {}).get(name)


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    """The members of an object or a list; of anything else there are none."""
    if isinstance(value, dict):
        yield from value.items()
    if isinstance(value, list):
        yield from ((str(number), one) for number, one in enumerate(value))


def _text(value: Any, what: str) -> str:
    if isinstance(value, dict | list):
        raise Malformed(f"{what}: {value!r} has no text")
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _bounded(value: Any, least: int, most: int, what: str) -> None:
    if not least <= len(_text(value, what).encode()) <= most:
        raise Malformed(f"{what}: {value!r} has not {least}-{most} bytes")
