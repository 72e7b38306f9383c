"""One metadata file of an Uptane repository: read, checked, and turned into a value.

All checks that need nothing but the file, its bytes, the trust in its signers and the time are here; what
compares files with each other is in `uptane.py`.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from judges.uptane_canonical import canonical, check_server_bytes, parse
from judges.uptane_errors import Expired, Malformed, WrongHash, WrongVersion
from judges.uptane_keys import Trust, check_signatures, read_keys, trust_of

TOP_ROLES = ("root", "timestamp", "snapshot", "targets")
RESERVED = {*TOP_ROLES, "offline-snapshot", "offline-updates"}
_EXPIRES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_HEX = re.compile(r"[0-9a-fA-F]+")


@dataclass(frozen=True)
class Role:
    """A file whose signatures were found good."""

    what: str
    version: int
    expires: str
    signed: dict[str, Any]
    canonical: bytes

    def check_fresh(self, now: str) -> None:
        if self.expires <= now:
            raise Expired(f"{self.what}: expired at {self.expires}, it is {now}")


def read_role(raw: bytes, what: str, kind: str, trust: Trust | None, *, strict: bool) -> Role:
    """`trust` None: a root that vouches for itself."""
    envelope = parse(raw)
    if strict:
        check_server_bytes(raw, envelope, what)
    signed = envelope.get("signed")
    if not isinstance(signed, dict):
        raise Malformed(f"{what}: no signed part")
    _check_type(signed.get("_type"), kind, what)
    # A rotated root carries signatures for its predecessor too, which are of no use to itself.
    check_signatures(envelope, trust or root_trust(signed, "root"), what, strict=strict and kind != "Root")
    return Role(what, _version(signed, what), _expires(signed, what), signed, canonical(envelope))


def _check_type(found: Any, kind: str, what: str) -> None:
    same = isinstance(found, str) and (found.lower() == "root" if kind == "Root" else found == kind)
    if not same:
        raise Malformed(f"{what}: _type is {found!r}, not {kind!r}")


def _version(signed: dict[str, Any], what: str) -> int:
    version = signed.get("version")
    if type(version) is not int or not 1 <= version < 2**31:
        raise Malformed(f"{what}: version {version!r} is not a positive 32-bit integer")
    return version


def _expires(signed: dict[str, Any], what: str) -> str:
    expires = signed.get("expires")
    if not isinstance(expires, str) or not _EXPIRES.fullmatch(expires):
        raise Malformed(f"{what}: expires {expires!r} is not YYYY-MM-DDTHH:MM:SSZ")
    return expires


def root_trust(signed: dict[str, Any], role: str) -> Trust:
    keys = read_keys(signed.get("keys"), "root")
    roles = signed.get("roles")
    if not isinstance(roles, dict) or any(name not in roles for name in TOP_ROLES):
        raise Malformed("root: one of the four roles is missing")
    return trust_of(roles[role], keys, f"root: role {role}")


def check_root_for_server(signed: dict[str, Any]) -> None:
    """Strict: what only TUF 1.0 clients would miss, as both roots share one signed part."""
    if set(signed["roles"]) != set(TOP_ROLES):
        raise Malformed(f"root: the roles are {sorted(signed['roles'])}")


def meta_line(parent: Role, name: str) -> dict[str, Any]:
    """What `parent` (timestamp or snapshot) promises about the file `name`."""
    meta = parent.signed.get("meta")
    line = meta.get(f"{name}.json") if isinstance(meta, dict) else None
    if not isinstance(line, dict):
        raise WrongVersion(f"{parent.what} does not list {name}.json")
    if type(line.get("version")) is not int:
        raise Malformed(f"{parent.what}: no version for {name}.json")
    return line


def known_hashes(hashes: Any, what: str) -> dict[str, Any]:
    if hashes is not None and not isinstance(hashes, dict):
        raise Malformed(f"{what}: hashes is not an object")
    return {name: value for name, value in (hashes or {}).items() if name in ("sha256", "sha512")}


def check_hashes(data: bytes, hashes: Any, what: str, *, required: bool) -> None:
    """All known hashes must match; the others are ignored."""
    known = known_hashes(hashes, what)
    if required and not known:
        raise Malformed(f"{what}: neither sha256 nor sha512 is given")
    for name, value in known.items():
        if not isinstance(value, str) or not _HEX.fullmatch(value):
            raise Malformed(f"{what}: {name} is not hex")
        if hashlib.new(name, data).hexdigest() != value.lower():
            raise WrongHash(f"{what}: {name} differs")
