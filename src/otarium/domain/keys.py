"""Public keys, signatures and thresholds.

Keys are Ed25519; a key id is the sha256 of the canonical key object (TUF 4.2), the same in both
dialects. One root signature serves both, since a root is ASCII and both canonical forms are the
same bytes.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from otarium.domain import canonical


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 key; `public` is 64 lower-case hexadecimal digits."""

    public: str

    def to_object(self) -> dict[str, Any]:
        return {"keytype": "ed25519", "keyval": {"public": self.public}, "scheme": "ed25519"}

    @property
    def key_id(self) -> str:
        return hashlib.sha256(canonical.olpc(self.to_object())).hexdigest()

    def verifies(self, signature: bytes, payload: bytes) -> bool:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public))
        try:
            key.verify(signature, payload)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signature:
    key_id: str
    value: bytes


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A private key as it rests: encrypted under the master key."""

    role: str
    key_id: str
    public: str
    sealed: bytes


Sign = Callable[[str, bytes], tuple[Signature, ...]]
"""(role name, payload) -> one signature for each key of that role; raises Unavailable."""


def meets_threshold(
    keys: Mapping[str, PublicKey], threshold: int, signatures: Iterable[Signature], payload: bytes
) -> bool:
    """Whether `threshold` distinct keys signed; a key listed under two ids counts once (CVE-2020-6174)."""
    good = {
        keys[signature.key_id].public
        for signature in signatures
        if signature.key_id in keys and keys[signature.key_id].verifies(signature.value, payload)
    }
    return threshold >= 1 and len(good) >= threshold
