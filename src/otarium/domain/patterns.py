"""Path patterns of delegations: fnmatch(3) with flags 0, as aktualizr calls it.

`*` and `?` also match a slash. Devices compare bytes (aktualizr never calls setlocale), so `?` is one
byte. TUF 1.0 clients match each segment between slashes on its own and know other brackets; `ambiguity`
tells where the two may differ.
"""

import re
import unicodedata
from functools import lru_cache

from otarium.domain.errors import Invalid

PATTERN_CHARACTERS = 253


def parse(raw: object) -> str:
    """Raises Invalid for a pattern that no target name of ours could match, or that clients cannot read."""
    if not isinstance(raw, str) or not 1 <= len(raw) <= PATTERN_CHARACTERS:
        raise Invalid(f"The path pattern {raw!a:.60} must be a text of 1-{PATTERN_CHARACTERS} characters.")
    if raw != unicodedata.normalize("NFC", raw) or any(ord(char) > 0xFFFF for char in raw):
        raise Invalid(f"The path pattern {raw!a:.60} must be NFC, without characters above U+FFFF.")
    if any(unicodedata.category(char) in ("Cc", "Cs", "Cn") for char in raw):
        raise Invalid(f"The path pattern {raw!a:.60} contains a control or unassigned character.")
    if ".." in raw.split("/") or raw.startswith("/"):
        raise Invalid(f"The path pattern {raw!a:.60} starts with a slash or climbs with '..'.")
    _check_brackets(raw)
    if raw.endswith("/"):
        raise Invalid(f"The path pattern {raw!a:.60} ends with a slash and matches nothing; write {raw}*")
    return raw


def _check_brackets(raw: str) -> None:
    pattern, at = raw.encode(), 0
    while at < len(pattern):
        char, at = pattern[at : at + 1], at + 1
        if char == b"[":
            bracket = _bracket(pattern, at)
            if bracket is None:
                raise Invalid(
                    f"The path pattern {raw!a:.60} has a bracket that never ends; write \\[ for it."
                )
            if re.search(rb"\[[:.=]", pattern[at : bracket[1]]):
                raise Invalid(f"The path pattern {raw!a:.60} has a named class; write its characters: [0-9].")
            at = bracket[1]
        at += char == b"\\"


def matches(pattern: str, name: str) -> bool:
    return _compiled(pattern).fullmatch(name.encode()) is not None


def ambiguity(pattern: str) -> str | None:
    """Why devices and TUF 1.0 clients may disagree about a pattern; None where they cannot."""
    if "\\" in pattern or "[" in pattern:
        return "brackets and backslashes mean different things to aktualizr and to TUF 1.0 clients"
    if "?" in pattern and not pattern.isascii():
        return "'?' is one byte to aktualizr and one character to TUF 1.0 clients"
    if "*" in pattern or "?" in pattern:
        return "'*' and '?' match a slash for aktualizr and none for TUF 1.0 clients"
    return None


@lru_cache(1024)
def _compiled(pattern: str) -> re.Pattern[bytes]:
    """A star with what follows it up to the next star is one atomic group: no pattern takes long."""
    first, *others = _pieces(pattern.encode())
    if not others:
        return re.compile(first, re.DOTALL)
    *middle, last = others
    stars = b"".join(b"(?>.*?" + piece + b")" for piece in middle if piece)
    return re.compile(first + stars + b".*" + last, re.DOTALL)


def _pieces(pattern: bytes) -> list[bytes]:
    """The regular expressions between the stars."""
    pieces, at = [b""], 0
    while at < len(pattern):
        char = pattern[at : at + 1]
        at += 1
        if char == b"*":
            pieces.append(b"")
        elif char == b"?":
            pieces[-1] += b"."
        elif char == b"[" and (bracket := _bracket(pattern, at)) is not None:
            expression, at = bracket
            pieces[-1] += expression
        elif char == b"\\":
            # A backslash at the very end matches nothing (glibc).
            pieces[-1] += re.escape(pattern[at : at + 1]) if at < len(pattern) else b"(?!)"
            at += 1
        else:
            pieces[-1] += re.escape(char)
    return pieces


_MEMBER = re.compile(rb"\\(.)|(.)", re.DOTALL)


def _bracket(pattern: bytes, at: int) -> tuple[bytes, int] | None:
    """The expression for `[...]` whose inside starts at `at`, and where it ends; None when it never does."""
    negated = pattern[at : at + 1] in (b"!", b"^")
    at += negated
    parts: list[bytes] = []
    first = True
    while (match := _MEMBER.match(pattern, at)) is not None:
        at = match.end()
        if match[2] == b"]" and not first:
            inside = b"".join(parts)
            # Only ranges that run backwards were in it: nothing matches, or anything.
            empty = b"." if negated else b"(?!)"
            return (b"[" + (b"^" if negated else b"") + inside + b"]" if inside else empty), at
        first = False
        low = high = match[1] or match[2]
        if pattern[at : at + 1] == b"-" and pattern[at + 1 : at + 2] not in (b"]", b""):
            end = _MEMBER.match(pattern, at + 1)
            if end is None:
                return None
            high, at = end[1] or end[2], end.end()
        if low <= high:
            parts.append(re.escape(low) + b"-" + re.escape(high))
    return None
