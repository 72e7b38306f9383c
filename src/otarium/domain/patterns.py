"""Path patterns of delegations: fnmatch(3) with flags 0, as aktualizr calls it.

`*` and `?` also match a slash. Devices compare bytes (aktualizr never calls setlocale), so `?` is one
byte. TUF 1.0 clients match each segment between slashes on its own and know other brackets; `ambiguity`
tells where the two may differ.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
    return any_matches((pattern,), name)


def any_matches(patterns: Sequence[str], name: str) -> bool:
    return machine(tuple(patterns)).matches(name.encode())


def ambiguity(pattern: str) -> str | None:
    """Why devices and TUF 1.0 clients may disagree about a pattern; None where they cannot."""
    if "\\" in pattern or "[" in pattern:
        return "brackets and backslashes mean different things to aktualizr and to TUF 1.0 clients"
    if "?" in pattern and not pattern.isascii():
        return "'?' is one byte to aktualizr and one character to TUF 1.0 clients"
    if "*" in pattern or "?" in pattern:
        return "'*' and '?' match a slash for aktualizr and none for TUF 1.0 clients"
    return None


@dataclass(frozen=True, slots=True)
class Machine:
    """Some patterns at once. What they ask of one byte each stands in a row, with a gap behind each pattern;
    a bit says that all before it was met. A name is read once, with four operations on such rows for each of
    its bytes, whatever the patterns are and however much of them it repeats."""

    takes: Sequence[int]
    """By byte: the places that it meets."""
    stars: int
    """The places before which there is a star."""
    starts: int
    ends: int

    def matches(self, name: Iterable[int]) -> bool:
        takes, stars, met = self.takes, self.stars, self.starts
        whatever_follows = self.ends & stars
        for byte in name:
            if met & whatever_follows:
                return True
            met = (met & takes[byte]) << 1 | met & stars
            if not met:
                return False
        return bool(met & self.ends)


@lru_cache(1024)
def machine(patterns: tuple[str, ...]) -> Machine:
    takes = [0] * 256
    stars = starts = ends = at = 0
    for pattern in patterns:
        asked, before = _asked(pattern.encode())
        own = [0] * 256
        for place, taken in enumerate(asked):
            for byte in taken:
                own[byte] |= 1 << place
        takes = [all_ | one << at for all_, one in zip(takes, own, strict=True)]
        starts |= 1 << at
        stars |= sum(1 << place for place in before) << at
        at += len(asked)
        ends |= 1 << at
        at += 1
    return Machine(takes, stars, starts, ends)


_ANY = frozenset(range(256))


def _asked(pattern: bytes) -> tuple[list[frozenset[int]], set[int]]:
    """The bytes that may stand at each place, and the places before which there is a star."""
    asked: list[frozenset[int]] = []
    stars, at = set(), 0
    while at < len(pattern):
        char = pattern[at : at + 1]
        at += 1
        if char == b"*":
            stars.add(len(asked))
        elif char == b"?":
            asked.append(_ANY)
        elif char == b"[" and (bracket := _bracket(pattern, at)) is not None:
            taken, at = bracket
            asked.append(taken)
        elif char == b"\\":
            # A backslash at the very end matches nothing (glibc).
            asked.append(frozenset(pattern[at : at + 1]))
            at += 1
        else:
            asked.append(frozenset(char))
    return asked, stars


_MEMBER = re.compile(rb"\\(.)|(.)", re.DOTALL)


def _bracket(pattern: bytes, at: int) -> tuple[frozenset[int], int] | None:
    """The bytes of `[...]` whose inside starts at `at`, and where it ends; None when it never does."""
    negated = pattern[at : at + 1] in (b"!", b"^")
    at += negated
    inside: set[int] = set()
    first = True
    while (match := _MEMBER.match(pattern, at)) is not None:
        at = match.end()
        if match[2] == b"]" and not first:
            return _ANY - inside if negated else frozenset(inside), at
        first = False
        low = high = match[1] or match[2]
        if pattern[at : at + 1] == b"-" and pattern[at + 1 : at + 2] not in (b"]", b""):
            end = _MEMBER.match(pattern, at + 1)
            if end is None:
                return None
            high, at = end[1] or end[2], end.end()
        # A range that runs backwards has nothing in it.
        inside.update(range(low[0], high[0] + 1))
    return None
