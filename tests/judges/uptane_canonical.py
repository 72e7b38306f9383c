"""JSON as an Uptane device reads and signs it.

The canonical form sorts keys by code point, writes no whitespace, and escapes every character from 0x80 up
as \\uXXXX in lower case with surrogate pairs; 0x7f and the slash stay raw, control characters are escaped.
"""

import json
import re
from typing import Any

from judges.uptane_errors import Malformed, NotCanonical

_ESCAPED = re.compile(r'[\x00-\x1f"\\]|[^\x00-\x7f]')
_LARGEST_EXACT = 2**53


def canonical(value: Any) -> bytes:
    return _text(value).encode("ascii")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{_string(key)}:{_text(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return str(value)
    return _double(float(value))


def _string(value: str) -> str:
    return '"' + _ESCAPED.sub(lambda found: json.dumps(found[0])[1:-1], value) + '"'


def _double(value: float) -> str:
    text = f"{value:.17g}"
    return text if any(mark in text for mark in ".en") else text + ".0"


def parse(raw: bytes) -> dict[str, Any]:
    """Strict JSON only: a device reads more, but a server must not rely on it."""
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Malformed("not a JSON object")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def check_server_bytes(raw: bytes, value: dict[str, Any], what: str) -> None:
    """The server's side of the bargain: canonical bytes, and nothing on which canonical forms disagree."""
    if raw != canonical(value):
        raise NotCanonical(f"{what}: the bytes served are not the canonical bytes")
    _check_portable(value, what)


def _check_portable(value: Any, what: str) -> None:
    if isinstance(value, float):
        raise NotCanonical(f"{what}: a number that is no integer: {value!r}")
    if isinstance(value, int) and abs(value) >= _LARGEST_EXACT:
        raise NotCanonical(f"{what}: an integer of 2^53 or more: {value!r}")
    if isinstance(value, dict):
        for key, member in value.items():
            if any(ord(letter) > 0xFFFF for letter in key):
                raise NotCanonical(f"{what}: a key above U+FFFF: {key!r}")
            _check_portable(member, what)
    if isinstance(value, list):
        for member in value:
            _check_portable(member, what)
