"""Small repositories in memory, signed with fixed keys."""

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from otarium.domain.keys import PublicKey, Signature
from otarium.domain.names import HardwareId, PackageId, PackageName, PackageVersion, Sha256
from otarium.domain.packages import Content, Entry, Package, TargetFormat
from otarium.domain.release import Counters, Delegated, Lifetimes, Release, RoleKeys, build, first_root
from otarium.domain.roles import ROLE_NAMES, TARGETS

NOW = 1_800_000_000
LIFETIMES = Lifetimes()


class Keys:
    """One key per role, from a seed."""

    def __init__(self, seed: int = 1) -> None:
        self._private = {
            role: Ed25519PrivateKey.from_private_bytes(bytes([seed * 8 + number]) * 32)
            for number, role in enumerate(ROLE_NAMES)
        }
        public = {
            role: PublicKey(key.public_key().public_bytes_raw().hex()) for role, key in self._private.items()
        }
        self.role_keys = RoleKeys({role: (key,) for role, key in public.items()}, dict.fromkeys(public, 1))

    def sign(self, role: str, payload: bytes) -> tuple[Signature, ...]:
        key_id = self.role_keys.keys[role][0].key_id
        return (Signature(key_id, self._private[role].sign(payload)),)


def package(name: str = "app", version: str = "1", **changes: object) -> Package:
    made = {
        "id": PackageId(f"{name}-{version}"),
        "name": PackageName(name),
        "version": PackageVersion(version),
        "content": Content(
            TargetFormat.BINARY,
            Sha256(hashlib.sha256(f"{name}-{version}".encode()).hexdigest()),
            10,
            frozenset({HardwareId("hw")}),
        ),
        "hardware_ids": (HardwareId("hw"),),
        "uri": None,
        "comment": None,
        "meta": None,
        "created_at": NOW,
        "updated_at": NOW,
        "revision": 1,
    }
    return Package(**(made | changes))  # type: ignore[arg-type]


def entries(*packages: Package) -> list[Entry]:
    """In the order in which they are signed."""
    return [one.entry() for one in sorted(packages, key=lambda one: one.id)]


def release(
    *packages: Package,
    keys: Keys | None = None,
    previous: Release | None = None,
    now: int = NOW,
    shelves: Mapping[str, Sequence[Entry]] = MappingProxyType({}),
    delegated: Delegated | None = None,
) -> Release:
    keys = keys or Keys()
    root = previous.root if previous else first_root(keys.role_keys, now, LIFETIMES, keys.sign)
    changed = {TARGETS: entries(*packages), **shelves}
    return build(previous, root, changed, Counters(), now, LIFETIMES, keys.sign, delegated)
