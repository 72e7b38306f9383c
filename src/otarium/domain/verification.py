"""Our own verifier: what a device of either dialect would check, over bytes and a time.

Stricter than devices where we can be: files must be canonical, versions positive, hashes and lengths
present. Raises `Untrusted`, which names the file and the reason.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from otarium.domain import canonical
from otarium.domain.errors import Invalid
from otarium.domain.keys import PublicKey, Signature, meets_threshold
from otarium.domain.packages import timestamp
from otarium.domain.roles import MAX_VERSION, ROLE_NAMES, Dialect

_EXPIRES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class Untrusted(Exception):
    """A metadata file that a careful device would refuse."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Who must sign a role: keys by id, and how many."""

    keys: Mapping[str, PublicKey]
    threshold: int


@dataclass(frozen=True, slots=True)
class Verified:
    """The `signed` part of a file that was checked."""

    signed: Mapping[str, Any]
    version: int


def verify_file(raw: bytes, role: str, dialect: Dialect, trust: Trust, now: int | None) -> Verified:
    """Form, type, signatures, expiry (unless `now` is None: an intermediate root may be expired)."""
    try:
        document = canonical.parse(raw, role, max_members=len(raw))
    except Invalid as refusal:
        raise Untrusted(str(refusal)) from None
    if not isinstance(document, dict) or set(document) != {"signatures", "signed"}:
        raise Untrusted(f"{role} is not an object of signatures and signed")
    encode = canonical.uptane if dialect is Dialect.UPTANE else canonical.tuf
    if encode(document) != raw:
        raise Untrusted(f"{role} is not served as its canonical bytes")
    signed = document["signed"]
    if signed.get("_type") != _expected_type(role, dialect):
        raise Untrusted(f"{role} has _type {signed.get('_type')!r}")
    payload = canonical.uptane(signed) if dialect is Dialect.UPTANE else canonical.olpc(signed)
    signatures = _signatures(document["signatures"], role, dialect)
    if not meets_threshold(trust.keys, trust.threshold, signatures, payload):
        raise Untrusted(f"{role} is not signed by {trust.threshold} of its keys")
    version, expires = signed.get("version"), signed.get("expires")
    if type(version) is not int or not 1 <= version <= MAX_VERSION:
        raise Untrusted(f"{role} has version {version!r}")
    if not isinstance(expires, str) or not _EXPIRES.fullmatch(expires):
        raise Untrusted(f"{role} expires at {expires!r}")
    if now is not None and expires <= timestamp(now):
        raise Untrusted(f"{role} version {version} expired at {expires}")
    return Verified(signed, version)


def _expected_type(role: str, dialect: Dialect) -> str:
    kind = role if role in ROLE_NAMES else "targets"
    return kind.capitalize() if dialect is Dialect.UPTANE and kind != "root" else kind


def _signatures(listed: Any, role: str, dialect: Dialect) -> list[Signature]:
    made: dict[str, Signature] = {}
    for one in listed:
        key_id, text = one.get("keyid"), one.get("sig")
        if key_id in made:
            raise Untrusted(f"{role} has two signatures by key {key_id}")
        if dialect is Dialect.UPTANE and one.get("method") != "ed25519":
            raise Untrusted(f"{role} has a signature without method ed25519")
        try:
            value = (
                base64.b64decode(text, validate=True) if dialect is Dialect.UPTANE else bytes.fromhex(text)
            )
        except (binascii.Error, ValueError, TypeError):
            raise Untrusted(f"{role} has a signature that cannot be decoded") from None
        made[key_id] = Signature(key_id, value)
    return list(made.values())


def trust_of(root: Verified) -> dict[str, Trust]:
    """The keys of the four roles, with ids that are hashes of what they name."""
    keys: dict[str, PublicKey] = {}
    for key_id, stated in root.signed["keys"].items():
        key = PublicKey(stated["keyval"]["public"])
        if stated != key.to_object() or key.key_id != key_id:
            raise Untrusted(f"root states a key {key_id} that does not hash to its id")
        keys[key_id] = key
    roles = root.signed["roles"]
    if set(roles) != set(ROLE_NAMES):
        raise Untrusted(f"root has the roles {sorted(roles)}")
    return {
        role: Trust({key_id: keys[key_id] for key_id in stated["keyids"]}, stated["threshold"])
        for role, stated in roles.items()
    }


def verify_roots(raws: Mapping[int, bytes], dialect: Dialect, now: int | None) -> dict[str, Trust]:
    """The chain 1, 2, ... N without a gap, each signed by its own and by its predecessor's root keys."""
    if sorted(raws) != list(range(1, len(raws) + 1)):
        raise Untrusted(f"the root versions {sorted(raws)} have a gap")
    trust: dict[str, Trust] | None = None
    for version in sorted(raws):
        unverified = canonical.parse(raws[version], "root")["signed"]
        own = trust_of(Verified(unverified, version))
        last = version == len(raws)
        for signers in [own, *([trust] if trust else [])]:
            root = verify_file(raws[version], "root", dialect, signers["root"], now if last else None)
            if root.version != version:
                raise Untrusted(f"root {version} says that it is version {root.version}")
        trust = own
    if trust is None:
        raise Untrusted("there is no root")
    return trust


def verify_listed(raw: bytes, name: str, listing: Verified) -> None:
    """`raw` has the length and hash that the listing gives for `name`."""
    line = listing.signed["meta"].get(name)
    if line is None:
        raise Untrusted(f"{name} is not listed")
    if line["length"] != len(raw) or line["hashes"]["sha256"] != hashlib.sha256(raw).hexdigest():
        raise Untrusted(f"{name} does not have the length and hash that are listed for it")
