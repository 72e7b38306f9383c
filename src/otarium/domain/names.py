"""Names, parsed once at the gate into types that cannot be wrong.

Every type is a `str` that went through its `parse`: normalised to NFC (Uptane: metadata strings are
NFC) and checked. The rules come from what device clients can verify and fetch:

- tuf-js orders object keys by UTF-16 code units; one name above U+FFFF beside one in U+E000-U+FFFF
  would break the signature of the whole file, so nothing above U+FFFF is a name;
- python-tuf and tuf-js put names into URLs unescaped, so `\\`, `#` and `?` would cut or bend them;
- unassigned code points are refused because their normal form may change with the next Unicode.
"""

import re
import unicodedata
from typing import Self

from otarium.domain.errors import Invalid

NAME_CHARACTERS = 128
VERSION_CHARACTERS = 64
PACKAGE_ID_BYTES = 253
HARDWARE_ID_BYTES = 200
"""aktualizr stops reading a whole file at a longer one."""
HARDWARE_IDS = 64

_REFUSED_CATEGORIES = {
    "Cc": "a control character",
    "Cf": "a format character",
    "Cs": "a surrogate",
    "Co": "a private use character",
    "Cn": "an unassigned character",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}
_UNFETCHABLE = "\\#?"


def _refuse(what: str, raw: str, rule: str) -> Invalid:
    shown = raw if len(raw) <= 80 else raw[:77] + "..."
    return Invalid(f"{what} {shown!a} is not allowed: {rule}", description="Choose another name.")


def _check_text(what: str, text: str) -> None:
    """Refuse characters by Unicode category."""
    for char in text:
        if char == " " or (char.isascii() and char.isprintable()):
            continue
        category = unicodedata.category(char)
        if category in _REFUSED_CATEGORIES or category == "Zs":
            rule = _REFUSED_CATEGORIES.get(category, "a space other than U+0020")
            raise _refuse(what, text, f"it contains {rule} (U+{ord(char):04X})")


def _check_name(what: str, text: str, limit: int) -> None:
    """Refuse what a device client could not verify or fetch."""
    _check_text(what, text)
    if not text:
        raise _refuse(what, text, "it is empty")
    if len(text) > limit:
        raise _refuse(what, text, f"it has {len(text)} characters, at most {limit} are allowed")
    for char in text:
        if char in _UNFETCHABLE:
            raise _refuse(what, text, f"it contains {char!r}, which device clients cannot fetch")
        if ord(char) > 0xFFFF:
            raise _refuse(what, text, f"it contains U+{ord(char):X}, and nothing above U+FFFF is allowed")
    if text[0] in " /" or text[-1] in " /":
        raise _refuse(what, text, "it starts or ends with a space or a slash")
    for segment in text.split("/"):
        if segment in ("", ".", ".."):
            raise _refuse(what, text, "a segment between slashes is empty, '.' or '..'")


class PackageName(str):
    """What is updated, for example `my-app` or `scarthgap/verdin-imx8mp/torizon`; 1-128 characters."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Raises Invalid with the rule that was broken."""
        text = unicodedata.normalize("NFC", raw)
        _check_name("The package name", text, NAME_CHARACTERS)
        return cls(text)


class PackageVersion(str):
    """One release of a package, for example `1.0.0`; 1-64 characters, no slash."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Raises Invalid with the rule that was broken."""
        text = unicodedata.normalize("NFC", raw)
        if "/" in text:
            raise _refuse("The package version", text, "it contains a slash")
        _check_name("The package version", text, VERSION_CHARACTERS)
        return cls(text)


class PackageId(str):
    """`{name}-{version}`: the identity of a package and its target name in signed metadata."""

    __slots__ = ()

    @classmethod
    def of(cls, name: PackageName, version: PackageVersion) -> Self:
        """Raises Invalid when the id is longer than 253 bytes of UTF-8."""
        text = f"{name}-{version}"
        size = len(text.encode())
        if size > PACKAGE_ID_BYTES:
            rule = f"name and version make {size} bytes of UTF-8, at most {PACKAGE_ID_BYTES} are allowed"
            raise _refuse("The package id", text, rule)
        return cls(text)

    @classmethod
    def lookup(cls, raw: str) -> Self:
        """An id to look for: normalised, not checked, since an impossible id is simply not found."""
        # PostgreSQL takes no U+0000; U+0001 is in no name either.
        return cls(unicodedata.normalize("NFC", raw).replace("\0", "\1"))


class HardwareId(str):
    """The hardware an image is built for, for example `docker-compose`; 1-200 bytes of UTF-8."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Raises Invalid with the rule that was broken."""
        text = unicodedata.normalize("NFC", raw)
        _check_text("The hardware id", text)
        if not text:
            raise _refuse("The hardware id", text, "it is empty; leave the parameter out instead")
        size = len(text.encode())
        if size > HARDWARE_ID_BYTES:
            rule = f"it has {size} bytes of UTF-8, at most {HARDWARE_ID_BYTES} are allowed"
            raise _refuse("The hardware id", text, rule)
        return cls(text)

    @classmethod
    def parse_all(cls, raws: list[str]) -> tuple[Self, ...]:
        """In the order given, each once. Raises Invalid, also for more than 64."""
        ids = tuple(dict.fromkeys(cls.parse(raw) for raw in raws))
        if len(ids) > HARDWARE_IDS:
            raise Invalid(f"{len(ids)} hardware ids were given, at most {HARDWARE_IDS} are allowed.")
        return ids


class Sha256(str):
    """64 lower-case hexadecimal digits."""

    __slots__ = ()
    _PATTERN = re.compile(r"[0-9a-fA-F]{64}")

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Either case is taken. Raises Invalid."""
        if not cls._PATTERN.fullmatch(raw):
            raise Invalid(f"{raw[:80]!a} is not a SHA-256: give 64 hexadecimal digits.")
        return cls(raw.lower())


class SourceName(str):
    """Where a package comes from. `x` and `x.json` are the same source; the bare form is kept.

    It is a role name, which devices put into URLs unescaped; 1-50 of `A-Za-z0-9._-`.
    """

    __slots__ = ()
    _PATTERN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,49}")
    _RESERVED = re.compile(
        r"root|targets|snapshot|timestamp|offline-snapshot|offline-updates|p-[0-9a-f]+", re.IGNORECASE
    )

    @classmethod
    def lookup(cls, raw: str) -> Self:
        """A name to look for: an impossible one is simply not found."""
        text = unicodedata.normalize("NFC", raw)
        while text.endswith(".json"):
            text = text.removesuffix(".json")
        return cls(text)

    @classmethod
    def parse(cls, raw: str) -> Self:
        """The name of a new source. Raises Invalid with the rule that was broken."""
        name = cls.lookup(raw)
        if not cls._PATTERN.fullmatch(name):
            rule = "use 1-50 of the characters A-Z a-z 0-9 . _ -, not starting with a dot"
            raise _refuse("The source name", raw, rule)
        if re.match(r"\d+\.", name):
            rule = "it starts with a number and a dot, which clients read as a version"
            raise _refuse("The source name", raw, rule)
        if cls._RESERVED.fullmatch(name):
            raise _refuse("The source name", raw, "it is the name of a role of this repository")
        return name


OWN_SOURCE = SourceName("targets")
"""The source of the repository's own packages, `targets.json` on the wire."""
