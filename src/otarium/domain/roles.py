"""The four roles as bytes, in both dialects.

- `Dialect.UPTANE` (/repo, aktualizr): `_type` capitalised, signatures in base64 with a `method`.
- `Dialect.TUF` (/tuf, TUF 1.0 clients): `_type` in lower case, signatures in hex, `spec_version`.

Versions, expiry and keys of a file are the same in both; only the root's signed part is one text for
both, so that one (offline) signature serves both. Bytes made here are stored and served as they are.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from otarium.domain import canonical
from otarium.domain.canonical import Forms, members
from otarium.domain.errors import Broken
from otarium.domain.keys import PublicKey, Sign, Signature
from otarium.domain.packages import Entry, timestamp
from otarium.domain.versions import ShelfVersions, file_name

SPEC_VERSION = "1.0.31"
ROLE_NAMES = ("root", "targets", "snapshot", "timestamp")
TARGETS = "targets"
MAX_VERSION = 2**31 - 1
"""aktualizr keeps versions in a signed 32-bit integer."""


class Dialect(StrEnum):
    """The value is the first segment of the URLs."""

    UPTANE = "repo"
    TUF = "tuf"


@dataclass(frozen=True, slots=True)
class SignedRole:
    """One metadata file in one dialect, signed once and never encoded again."""

    raw: bytes
    sha256: str
    length: int
    version: int

    @classmethod
    def of(cls, raw: bytes, version: int) -> "SignedRole":
        return cls(raw, hashlib.sha256(raw).hexdigest(), len(raw), version)


@dataclass(frozen=True, slots=True)
class RoleFile:
    """One version of one role in both dialects. Times are whole seconds since 1970."""

    role: str
    version: int
    signed_at: int
    expires: int
    uptane: SignedRole
    tuf: SignedRole

    def in_dialect(self, dialect: Dialect) -> SignedRole:
        return self.uptane if dialect is Dialect.UPTANE else self.tuf

    @property
    def length(self) -> int:
        """Bytes, in the dialect in which there are more."""
        return max(self.uptane.length, self.tuf.length)


@dataclass(frozen=True, slots=True)
class Header:
    """What every role file states besides its content."""

    role: str
    version: int
    signed_at: int
    expires: int

    def __post_init__(self) -> None:
        if not 1 <= self.version <= MAX_VERSION:
            raise Broken(f"{self.role} cannot have version {self.version}: devices keep 31 bits")


def root(
    header: Header, keys: Mapping[str, Sequence[PublicKey]], thresholds: Mapping[str, int], sign: Sign
) -> RoleFile:
    """`keys` lists each role's keys. The signed part is TUF text, which is canonical in both dialects."""
    signed = canonical.olpc(
        {
            "_type": "root",
            "consistent_snapshot": True,
            "expires": timestamp(header.expires),
            "keys": {key.key_id: key.to_object() for role in keys.values() for key in role},
            "roles": {
                role: {"keyids": [key.key_id for key in keys[role]], "threshold": thresholds[role]}
                for role in ROLE_NAMES
            },
            "spec_version": SPEC_VERSION,
            "version": header.version,
        }
    )
    signatures = sign("root", signed)
    return _file(
        header,
        _envelope(Dialect.UPTANE, signatures, signed),
        _envelope(Dialect.TUF, signatures, signed),
    )


class Delegations(NamedTuple):
    """A `delegations` member: the keys by id, and each role as it is signed. There may be thousands."""

    keys: Mapping[str, Any] = MappingProxyType({})
    roles: Sequence[Forms] = ()

    def stated(self, form: Callable[[Forms], bytes]) -> bytes:
        """The member in one of its forms, with a comma; nothing where there are no roles."""
        if not self.roles:
            return b""
        keys, listed = form(members([self.keys])), b",".join(map(form, self.roles))
        return b"".join((b'"delegations":{"keys":', keys, b',"roles":[', listed, b"]},"))


def targets(
    header: Header,
    entries: Sequence[Entry],
    sign: Sign,
    delegations: Mapping[Dialect, Delegations] | None = None,
) -> RoleFile:
    """`entries` in the order of their ids; their bytes are joined, never decoded."""
    ours, theirs = ((delegations or {}).get(one, Delegations()) for one in Dialect)
    tufs = [entry.tuf for entry in entries]
    inner = b",".join(tufs)

    def joined(forms: list[bytes]) -> bytes:
        return inner if forms == tufs else b",".join(forms)

    def signed(dialect: Dialect, forms: list[bytes], stated: bytes) -> bytes:
        return _signed(dialect, header, b'"targets":{', joined(forms), stated)

    uptane = signed(
        Dialect.UPTANE, [entry.uptane for entry in entries], ours.stated(lambda forms: forms.uptane)
    )
    olpc = signed(Dialect.TUF, [entry.olpc for entry in entries], theirs.stated(lambda forms: forms.olpc))
    served = signed(Dialect.TUF, tufs, theirs.stated(lambda forms: forms.tuf))
    return _file(
        header,
        _envelope(Dialect.UPTANE, sign(TARGETS, uptane), uptane),
        _envelope(Dialect.TUF, sign(TARGETS, olpc), served),
    )


@dataclass(frozen=True, slots=True)
class Line:
    """What a snapshot says of one file."""

    sha256: str
    length: int
    version: int

    def to_object(self) -> dict[str, object]:
        return {"hashes": {"sha256": self.sha256}, "length": self.length, "version": self.version}


Lines = Mapping[Dialect, Mapping[str, Line]]
"""Snapshot lines of files that this repository did not sign, by dialect and role."""


def snapshot(
    header: Header,
    targets: RoleFile,
    shelves: ShelfVersions,
    sign: Sign,
    others: Lines | None = None,
) -> RoleFile:
    """Of a delegated shelf its version is all that is said: no two files of the targets key share one, so
    one can never be passed off as another."""
    stated = others or {}

    def listed(dialect: Dialect) -> list[bytes]:
        lines = {**stated.get(dialect, {}), TARGETS: _line(targets.in_dialect(dialect))}
        return shelves.lines_beside({file_name(role): _stating(role, line) for role, line in lines.items()})

    return _listing(header, listed, sign)


def timestamp_role(header: Header, snapshot: RoleFile, sign: Sign) -> RoleFile:
    def listed(dialect: Dialect) -> list[bytes]:
        return [_stating("snapshot", _line(snapshot.in_dialect(dialect)))]

    return _listing(header, listed, sign)


def _stating(role: str, line: Line) -> bytes:
    """The canonical member of `meta` with length and sha256 (aktualizr needs all of top-level files)."""
    return canonical.olpc({file_name(role): line.to_object()})[1:-1]


def _listing(header: Header, listed: Callable[[Dialect], list[bytes]], sign: Sign) -> RoleFile:
    """A file whose `meta` has these members, in the order of their names."""

    def make(dialect: Dialect) -> bytes:
        signed = _signed(dialect, header, b'"meta":{', b",".join(listed(dialect)))
        return _envelope(dialect, sign(header.role, signed), signed)

    return _file(header, make(Dialect.UPTANE), make(Dialect.TUF))


def listed_versions(file: RoleFile, dialect: Dialect = Dialect.TUF) -> dict[str, int]:
    """Role -> version, as a snapshot or timestamp of ours lists them; of our own roles the same in both."""
    meta = json.loads(file.in_dialect(dialect).raw)["signed"]["meta"]
    return {name.removesuffix(".json"): line["version"] for name, line in meta.items()}


def _line(file: SignedRole) -> Line:
    return Line(file.sha256, file.length, file.version)


def _signed(dialect: Dialect, header: Header, member: bytes, inner: bytes, before: bytes = b"") -> bytes:
    """The canonical `signed` object around `member` + `inner` + `}`, whose name is meta or targets;
    `before` are members whose names sort before `expires`."""
    kind = header.role if header.role in ROLE_NAMES else TARGETS
    kind = kind.capitalize() if dialect is Dialect.UPTANE else kind
    head = f'{{"_type":"{kind}",'.encode() + before + f'"expires":"{timestamp(header.expires)}",'.encode()
    content = member + inner + b"}"
    if dialect is Dialect.UPTANE:
        return b"".join((head, content, f',"version":{header.version}}}'.encode()))
    spec = f'"spec_version":"{SPEC_VERSION}"'.encode()
    parts = (spec, content) if member.startswith(b'"targets"') else (content, spec)
    return b"".join((head, b",".join(parts), f',"version":{header.version}}}'.encode()))


def _envelope(dialect: Dialect, signatures: Sequence[Signature], signed: bytes) -> bytes:
    if dialect is Dialect.UPTANE:
        listed = canonical.uptane(
            [
                {"keyid": s.key_id, "method": "ed25519", "sig": base64.b64encode(s.value).decode()}
                for s in signatures
            ]
        )
    else:
        listed = canonical.olpc([{"keyid": s.key_id, "sig": s.value.hex()} for s in signatures])
    return b"".join((b'{"signatures":', listed, b',"signed":', signed, b"}"))


def _file(header: Header, uptane: bytes, tuf: bytes) -> RoleFile:
    return RoleFile(
        header.role,
        header.version,
        header.signed_at,
        header.expires,
        SignedRole.of(uptane, header.version),
        SignedRole.of(tuf, header.version),
    )
