"""fnmatch(3) with flags 0 as a device that never calls setlocale runs it: on bytes, `*` crosses '/'."""

import functools
import re


def matches(pattern: str, name: str) -> bool:
    return _compiled(pattern).fullmatch(_bytes_as_text(name)) is not None


def _bytes_as_text(text: str) -> str:
    return text.encode("utf-8").decode("latin-1")


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    rest, parts = _bytes_as_text(pattern), []
    while rest:
        head, rest = rest[0], rest[1:]
        if head == "*":
            parts.append(".*")
        elif head == "?":
            parts.append(".")
        elif head == "\\" and rest:
            parts.append(re.escape(rest[0]))
            rest = rest[1:]
        elif head == "[" and (end := _end_of_bracket(rest)) is not None:
            parts.append(_bracket(rest[:end]))
            rest = rest[end + 1 :]
        else:
            parts.append(re.escape(head))
    return re.compile("".join(parts), re.DOTALL)


def _end_of_bracket(rest: str) -> int | None:
    """Where the closing bracket is; one that comes first is a member, an escaped one too."""
    at = 1 if rest[:1] in ("!", "^") else 0
    first = at
    while at < len(rest):
        if rest[at] == "]" and at > first:
            return at
        at += 2 if rest[at] == "\\" else 1
    return None


def _bracket(inner: str) -> str:
    negated = inner[:1] in ("!", "^")
    members = re.findall(r"(\\.|[^\\])(?:-(\\.|[^\\]))?", inner[negated:], re.DOTALL)
    ranges = (_member(low) + (f"-{_member(high)}" if high else "") for low, high in members)
    return f"[{'^' if negated else ''}{''.join(ranges)}]"


def _member(text: str) -> str:
    letter = text[-1]
    return re.escape(letter) if letter.isascii() and not letter.isalnum() else letter
