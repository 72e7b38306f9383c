"""External package sources: whom a repository trusts for which paths, and what it accepts from them.

`accept` is the whole judgement over one fetched file: bytes, trust, the last accepted file and a time go
in, an `Accepted` value comes out, or a `SourceRefused` that says why. Both dialects are taken:

- Uptane: `_type` "Targets", signatures in base64 with a `method`, keys Ed25519 or RSA;
- TUF 1.0: `_type` "targets", signatures in hex, keys Ed25519, RSA or ECDSA.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from otarium.domain import canonical, patterns
from otarium.domain.errors import (
    Invalid,
    SourceExpired,
    SourceOutOfBounds,
    SourceRolledBack,
    SourceUnreadable,
    SourceUnsigned,
)
from otarium.domain.external import LeftOut, external_package
from otarium.domain.names import SourceName
from otarium.domain.packages import Package, timestamp
from otarium.domain.publishers import PublisherKey, parse_key, signatures_of
from otarium.domain.readable import obstacle
from otarium.domain.roles import MAX_VERSION, Dialect

FILE_BYTES = 8 * 1024 * 1024
"""What aktualizr reads of a delegated file."""
TARGETS = 20_000
MEMBERS = 600_000
HIGHEST_VERSION = MAX_VERSION - 1000
"""A publisher that jumps to the end of the numbers could never publish again; it is stopped before."""
NAME_CHARACTERS = 4096
PATTERNS = 64
KEYS = 32
_NO_DELEGATIONS: dict[str, object] = {"keys": {}, "roles": []}
_SPEC_VERSION = re.compile(r"1(\.\d{1,9}){1,2}", re.ASCII)
_EXPIRES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


@dataclass(frozen=True, slots=True)
class Delegation:
    """Whom to trust (keys, threshold) for which target names (paths)."""

    name: SourceName
    keys: Mapping[str, PublisherKey]
    threshold: int
    paths: tuple[str, ...]

    def covers(self, target: str) -> bool:
        return patterns.any_matches(self.paths, target)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One accepted file of a source, without its bytes. Times are whole seconds since 1970."""

    source: SourceName
    dialect: Dialect
    version: int
    sha256: str
    """Of the bytes as they were fetched."""
    listed_sha256: str
    """What snapshot lists: in the Uptane dialect the hash of the canonical form, which devices compute."""
    length: int
    expires: int
    accepted_at: int
    modified_at: int
    vouched: bool = False
    """Whether this repository signed it, in the place of the publisher."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A file that was checked: its bytes, what is said of it in snapshot, and its packages."""

    file: SourceFile
    raw: bytes
    packages: Sequence[Package]
    left_out: Sequence[LeftOut]
    targets: Mapping[str, Any]


def accept(
    raw: bytes,
    delegation: Delegation,
    last: Mapping[Dialect, SourceFile],
    now: int,
    modified_at: int,
    replaces: SourceFile | None = None,
) -> Accepted:
    """Raises SourceRefused. `last` is what was accepted last in each dialect, also before a removal;
    `replaces` the file whose place this one takes where a publisher has one list, in whichever dialect."""
    document, dialect = _read(raw, delegation.name)
    signed = document["signed"]
    _check_signatures(document, dialect, delegation)
    version = _check_version(raw, signed, last.get(dialect), delegation.name)
    if replaces is not None and replaces.dialect is not dialect and version <= replaces.version:
        # Publishers sign both at once: an old file of the other dialect would bring the old list back.
        raise SourceRolledBack(
            f"The file of {delegation.name} in the dialect of /{dialect} has version {version}; in the place "
            f"of version {replaces.version} in that of /{replaces.dialect} only a higher one is taken."
        )
    expires = _check_expiry(signed, delegation.name, now)
    targets = _check_targets(signed, delegation)
    if dialect is Dialect.UPTANE:
        _check_readable(signed, targets, delegation.name)
    packages, left_out = [], []
    for name, target in targets.items():
        package = external_package(delegation.name, name, target, now)
        if isinstance(package, LeftOut):
            left_out.append(package)
        else:
            packages.append(package)
    sha256 = hashlib.sha256(raw).hexdigest()
    uptane = dialect is Dialect.UPTANE
    listed = hashlib.sha256(canonical.uptane(document)).hexdigest() if uptane else sha256
    file = SourceFile(delegation.name, dialect, version, sha256, listed, len(raw), expires, now, modified_at)
    return Accepted(file, raw, packages, left_out, targets)


def _read(raw: bytes, name: SourceName) -> tuple[dict[str, Any], Dialect]:
    if len(raw) > FILE_BYTES:
        raise SourceUnreadable(f"{name} is larger than {FILE_BYTES} bytes, which devices would not read.")
    try:
        document = canonical.parse(raw, f"The file of {name}", max_members=MEMBERS)
    except Invalid as refusal:
        raise SourceUnreadable(refusal.message) from None
    signed = document.get("signed") if isinstance(document, dict) else None
    if not isinstance(signed, dict) or not isinstance(document.get("signatures"), list):
        raise SourceUnreadable(f"The file of {name} is not an object of signatures and signed.")
    kinds = {"Targets": Dialect.UPTANE, "targets": Dialect.TUF}
    kind = signed.get("_type")
    if not isinstance(kind, str) or kind not in kinds:
        raise SourceUnreadable(f"The file of {name} has _type {kind!a:.40}, not Targets or targets.")
    if kinds[kind] is Dialect.TUF and not _SPEC_VERSION.fullmatch(str(signed.get("spec_version"))):
        raise SourceUnreadable(
            f"The file of {name} has spec_version {signed.get('spec_version')!a:.40}; TUF clients read 1.N.N."
        )
    return document, kinds[kind]


def _check_signatures(document: Mapping[str, Any], dialect: Dialect, delegation: Delegation) -> None:
    """Threshold over distinct key material: a key under two ids counts once (CVE-2020-6174)."""
    signed = document["signed"]
    payload = canonical.uptane(signed) if dialect is Dialect.UPTANE else canonical.olpc(signed)
    good = set()
    for key_id, value in signatures_of(document["signatures"], dialect, delegation.name):
        key = delegation.keys.get(key_id)
        if key is None or not key.usable_in(dialect):
            continue
        if value is None and dialect is Dialect.UPTANE:
            # aktualizr looks at signatures of keys that it knows alone, and there stops at what is no base64.
            raise SourceUnsigned(
                f"The file of {delegation.name} has a signature by {key_id[:80]!a} that is not base64."
            )
        if value is not None and key.verifies(value, payload):
            good.add(key.material)
    if len(good) < delegation.threshold:
        raise SourceUnsigned(
            f"The file of {delegation.name} is signed by {len(good)} of its trusted keys, "
            f"{delegation.threshold} must sign; ask the publisher whether keys were changed."
        )


def _check_version(raw: bytes, signed: Mapping[str, Any], last: SourceFile | None, name: SourceName) -> int:
    version = signed.get("version")
    if type(version) is not int or not 1 <= version < HIGHEST_VERSION:
        raise SourceUnreadable(
            f"The file of {name} has version {version!a:.40}, not 1-{HIGHEST_VERSION - 1}."
        )
    if last is not None and version < last.version:
        raise SourceRolledBack(
            f"The file of {name} went back from version {last.version} to {version}; devices would refuse it."
        )
    if last is not None and version == last.version and hashlib.sha256(raw).hexdigest() != last.sha256:
        raise SourceRolledBack(f"The file of {name} changed without a new version (still {version}).")
    return version


def _check_expiry(signed: Mapping[str, Any], name: SourceName, now: int) -> int:
    expires = signed.get("expires")
    try:
        seconds = (
            int(datetime.fromisoformat(str(expires)).timestamp()) if _EXPIRES.fullmatch(str(expires)) else 0
        )
    except ValueError:
        seconds = 0
    if not seconds:
        raise SourceUnreadable(f"The file of {name} expires at {expires!a:.40}, not YYYY-MM-DDTHH:MM:SSZ.")
    if seconds <= now:
        raise SourceExpired(
            f"The file of {name} expired at {timestamp(seconds)}; its publisher must renew it."
        )
    return seconds


def _check_targets(signed: Mapping[str, Any], delegation: Delegation) -> Mapping[str, Any]:
    name, targets = delegation.name, signed.get("targets")
    if not isinstance(targets, dict):
        raise SourceUnreadable(f"The file of {name} has no object of targets.")
    nested = signed.get("delegations", _NO_DELEGATIONS)
    if isinstance(nested, dict) and (nested.get("roles") or nested.get("succinct_roles")):
        raise SourceOutOfBounds(f"The file of {name} delegates further; nothing nested is fetched here.")
    if not _is_harmless(nested):
        # Clients read it before they look at targets, and stop at what they do not know.
        raise SourceUnreadable(f"The file of {name} has delegations that clients cannot read.")
    if len(targets) > TARGETS:
        raise SourceOutOfBounds(f"{name} lists {len(targets)} packages, at most {TARGETS} are taken.")
    if any(len(target) > NAME_CHARACTERS for target in targets):
        raise SourceOutOfBounds(
            f"{name} lists a package whose name has more than {NAME_CHARACTERS} characters."
        )
    outside = [target for target in targets if not delegation.covers(target)]
    if outside:
        raise SourceOutOfBounds(
            f"{name} lists {len(outside)} packages outside its paths {list(delegation.paths)}, "
            f"such as {outside[0][:120]!a}.",
            cause=outside[:20],
        )
    for target, stated in targets.items():
        if not _is_target(stated):
            raise SourceOutOfBounds(f"{name} lists {target[:120]!a} without a length or without hashes.")
    return targets


def _check_readable(signed: Mapping[str, Any], targets: Mapping[str, Any], name: SourceName) -> None:
    """One target that aktualizr cannot read would take the whole list from devices."""
    custom = signed.get("custom")
    if isinstance(custom, dict) and isinstance(custom.get("correlationId"), dict | list):
        raise SourceUnreadable(f"The file of {name} has a custom.correlationId that is no text.")
    for target, stated in targets.items():
        found = obstacle(stated.get("custom"))
        if found is not None:
            raise SourceOutOfBounds(
                f"{name} lists {target[:120]!a} with {found}, at which Uptane devices would stop reading the "
                "whole list; its publisher must mend it.",
                cause=[target],
            )


def _is_harmless(nested: object) -> bool:
    """What is left when a publisher took its last delegation back: keys that clients read, and no roles."""
    if not isinstance(nested, dict) or nested.keys() != _NO_DELEGATIONS.keys() or nested["roles"] != []:
        return False
    keys = nested["keys"]
    try:
        parsed = [parse_key(key, key_id) for key_id, key in keys.items()] if isinstance(keys, dict) else None
    except Invalid:
        return False
    return parsed is not None and all(key.usable_in(Dialect.UPTANE) for key in parsed)


def _is_target(stated: object) -> bool:
    """Length and at least one hash, as devices need them; `custom` may be anything."""
    if not isinstance(stated, dict) or not isinstance(hashes := stated.get("hashes"), dict) or not hashes:
        return False
    length = stated.get("length")
    texts = all(isinstance(value, str) and value for value in hashes.values())
    return type(length) is int and length >= 0 and texts
