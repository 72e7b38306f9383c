"""The four roles as bytes, in both dialects.

- `Dialect.UPTANE` (/repo, aktualizr): `_type` capitalised, signatures in base64 with a `method`.
- `Dialect.TUF` (/tuf, TUF 1.0 clients): `_type` in lower case, signatures in hex, `spec_version`.

Versions, expiry and keys of a file are the same in both; only the root's signed part is one text for
both, so that one (offline) signature serves both. Bytes made here are stored and served as they are.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from otarium.domain import canonical
from otarium.domain.errors import Broken
from otarium.domain.keys import PublicKey, Sign, Signature
from otarium.domain.packages import Entry, timestamp

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


def targets(header: Header, entries: Sequence[Entry], sign: Sign) -> RoleFile:
    """`entries` in the order of their ids; their bytes are joined, never decoded."""
    tufs = [entry.tuf for entry in entries]
    inner = b",".join(tufs)

    def joined(forms: list[bytes]) -> bytes:
        return inner if forms == tufs else b",".join(forms)

    def signed(dialect: Dialect, forms: list[bytes]) -> bytes:
        return _signed(dialect, header, b'"targets":{', joined(forms))

    uptane = signed(Dialect.UPTANE, [entry.uptane for entry in entries])
    olpcs = [entry.olpc for entry in entries]
    olpc = signed(Dialect.TUF, olpcs)
    served = olpc if olpcs == tufs else signed(Dialect.TUF, tufs)
    return _file(
        header,
        _envelope(Dialect.UPTANE, sign(TARGETS, uptane), uptane),
        _envelope(Dialect.TUF, sign(TARGETS, olpc), served),
    )


def snapshot(header: Header, shelves: Iterable[RoleFile], sign: Sign) -> RoleFile:
    return _listing(header, sorted(shelves, key=lambda shelf: shelf.role), sign)


def timestamp_role(header: Header, listed: RoleFile, sign: Sign) -> RoleFile:
    return _listing(header, [listed], sign)


def _listing(header: Header, files: Sequence[RoleFile], sign: Sign) -> RoleFile:
    """A file whose `meta` gives version, length and sha256 of others (aktualizr needs all three)."""

    def make(dialect: Dialect) -> bytes:
        meta = {f"{file.role}.json": _meta_line(file.in_dialect(dialect)) for file in files}
        signed = _signed(dialect, header, b'"meta":{', canonical.olpc(meta)[1:-1])
        return _envelope(dialect, sign(header.role, signed), signed)

    return _file(header, make(Dialect.UPTANE), make(Dialect.TUF))


def listed_versions(file: RoleFile) -> dict[str, int]:
    """Role -> version, as a snapshot or timestamp of ours lists them."""
    meta = json.loads(file.tuf.raw)["signed"]["meta"]
    return {name.removesuffix(".json"): line["version"] for name, line in meta.items()}


def _meta_line(file: SignedRole) -> dict[str, object]:
    return {"hashes": {"sha256": file.sha256}, "length": file.length, "version": file.version}


def _signed(dialect: Dialect, header: Header, member: bytes, inner: bytes) -> bytes:
    """The canonical `signed` object around `member` + `inner` + `}`, whose name is meta or targets."""
    kind = header.role if header.role in ROLE_NAMES else TARGETS
    kind = kind.capitalize() if dialect is Dialect.UPTANE else kind
    head = f'{{"_type":"{kind}","expires":"{timestamp(header.expires)}",'
    content = member + inner + b"}"
    if dialect is Dialect.UPTANE:
        return b"".join((head.encode(), content, f',"version":{header.version}}}'.encode()))
    spec = f'"spec_version":"{SPEC_VERSION}"'.encode()
    parts = (spec, content) if member.startswith(b'"targets"') else (content, spec)
    return b"".join((head.encode(), b",".join(parts), f',"version":{header.version}}}'.encode()))


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
