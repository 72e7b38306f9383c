"""The canonical JSON forms, and JSON read strictly.

Three encodings of one value, byte-equal for ASCII text without control characters:

- `uptane`: what aktualizr computes from a parsed file. Keys by code point, no white space, everything
  from U+0080 up as \\uxxxx, U+007F raw. Signed, hashed and served under /repo.
- `tuf`: the same with raw UTF-8. Served under /tuf.
- `olpc`: `tuf` with control characters raw (so not JSON any more). What a TUF 1.0 signature covers.

Floats have no canonical form; `parse` refuses them.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from otarium.domain.errors import Invalid

MAX_DEPTH = 64
MAX_MEMBERS = 10_000
MAX_INTEGER = 2**53 - 1
"""The largest integer that a JavaScript client keeps exact."""

_DELETE_ESCAPE = re.compile(r"\\\\|\\u007f")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_STEP = re.compile(rb'(?:[^"]{1,4096}+|"(?:[^"\\]++|\\.)*+"){1,64}+', re.DOTALL)
_NO_MARKS = bytes(set(range(256)) - set(b"[]{},"))
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""A pair of these is one character, half of a pair is no text: encoding tells."""
_CONTROL_ESCAPE = re.compile(r'\\(?:(["\\])|([nrtbf])|u([0-9a-f]{4}))')
_CONTROL_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


class Forms(NamedTuple):
    """One value, or a part of one, in the three encodings; often one object."""

    uptane: bytes
    tuf: bytes
    olpc: bytes


def members(value: Mapping[str, Any] | Sequence[Any]) -> Forms:
    """What stands between the brackets of an object or a list."""
    ours, theirs = uptane(value)[1:-1], tuf(value)[1:-1]
    if ours == theirs:
        theirs = ours
    raw = unescape_controls(theirs)
    return Forms(ours, theirs, theirs if raw == theirs else raw)


def uptane(value: object) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    if "\\u007f" in text:
        text = _DELETE_ESCAPE.sub(lambda m: "\x7f" if m[0] == "\\u007f" else m[0], text)
    return text.encode("ascii")


def tuf(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def olpc(value: object) -> bytes:
    return unescape_controls(tuf(value))


def unescape_controls(served: bytes) -> bytes:
    """Turn the `tuf` form into the `olpc` form."""
    if b"\\" not in served:
        return served

    def raw(match: re.Match[str]) -> str:
        if match[1]:
            return match[0]
        return _CONTROL_LETTERS[match[2]] if match[2] else chr(int(match[3], 16))

    return _CONTROL_ESCAPE.sub(raw, served.decode()).encode()


def parse(raw: bytes, what: str = "The JSON body", max_members: int = MAX_MEMBERS) -> Any:
    """Read JSON strictly: UTF-8, one value, no duplicate keys, no floats, integers within 2^53,
    at most 64 levels and `max_members` members. Raises Invalid.
    """
    _check_depth(raw, what, max_members)
    members = 0

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal members
        members += len(items)
        if members > max_members:
            raise Invalid(f"{what} has more than {max_members} members.")
        made = dict(items)
        if len(made) != len(items):
            raise Invalid(f"{what} names a member twice; name it once.")
        return made

    def integer(digits: str) -> int:
        if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
            raise Invalid(f"{what} contains {digits[:30]}, which is not an integer within 2^53.")
        return int(digits)

    def refuse_number(text: str) -> float:
        raise Invalid(f"{what} contains {text[:30]}; only integers within 2^53 can be signed.")

    try:
        value = json.loads(
            _text(raw, what),
            object_pairs_hook=pairs,
            parse_int=integer,
            parse_float=refuse_number,
            parse_constant=refuse_number,
        )
    except RecursionError:
        raise _too_deep(what) from None
    except json.JSONDecodeError as error:
        raise Invalid(
            f"{what} is not JSON: {error.msg} at line {error.lineno} column {error.colno}."
        ) from None
    if _SURROGATE.search(raw):
        _require_whole_pairs(value, what)
    return value


def _require_whole_pairs(value: object, what: str) -> None:
    try:
        tuf(value)
    except UnicodeEncodeError:
        raise Invalid(f"{what} contains half of a surrogate pair, which is not text.") from None


def _text(raw: bytes, what: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Invalid(f"{what} is not UTF-8: byte {error.start} cannot be decoded.") from None


def _check_depth(raw: bytes, what: str, max_members: int) -> None:
    """Refuse deep nesting, and masses of tiny values, before the recursive parser meets them. By regular
    expressions, since loops over 8 MiB would keep other threads waiting, and in steps, to hold little."""
    depth = values = at = 0
    while (step := _STEP.match(raw, at)) is not None:  # at a string that never ends the parser tells
        marks = _STRING.sub(b"", step[0]).translate(None, _NO_MARKS)
        at = step.end()
        values += len(marks) - marks.count(b"]") - marks.count(b"}")
        for mark in marks.replace(b",", b"")[: max_members + MAX_DEPTH]:
            depth += 1 if mark in b"[{" else -1
            if depth > MAX_DEPTH:
                raise _too_deep(what)
        if values > max_members:
            raise Invalid(f"{what} has more than {max_members} members.")


def _too_deep(what: str) -> Invalid:
    return Invalid(f"{what} is nested deeper than {MAX_DEPTH} levels.")
