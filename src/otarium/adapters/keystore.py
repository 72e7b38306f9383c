"""Private keys: one Ed25519 key per role, encrypted at rest under a master key.

The master key is 32 random bytes in a file with mode 0600. Each seed is sealed with AES-256-GCM under a
key derived from it; role and key id are bound in as associated data, so rows cannot be swapped.
"""

import os
import secrets
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from otarium.domain.errors import Broken
from otarium.domain.keys import PublicKey, SealedKey, Signature
from otarium.domain.names import SourceName
from otarium.domain.release import RoleKeys
from otarium.domain.roles import ROLE_NAMES
from otarium.domain.vouching import ROLE_PREFIX

_NONCE_BYTES = 12
MASTER_KEY_BYTES = 32


def create_master_key(path: Path) -> None:
    """Durably and whole or not at all, readable by the owner only; an existing file is left alone."""
    if path.exists():  # perhaps where nothing can be written, as secrets of a cluster are
        return
    with tempfile.NamedTemporaryFile("w", prefix=f".{path.name}.", dir=path.parent) as file:
        file.write(secrets.token_bytes(MASTER_KEY_BYTES).hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(file.name)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(directory)
    os.close(directory)


class MasterKey:
    """The root of all secrets at rest."""

    def __init__(self, path: Path) -> None:
        """Raises Broken when the file is missing, readable by others, or not a key."""
        try:
            status = path.stat()
            text = path.read_text()
        except OSError as error:
            raise Broken(f"the master key file {path} cannot be read: {error.strerror}") from None
        mode = status.st_mode & 0o777
        # Clusters and service managers give secrets as files of root that a group may read.
        given = status.st_uid == 0 != os.geteuid()
        if mode & (0o037 if given else 0o077):
            raise Broken(f"the master key file {path} is open to others (mode {mode:04o}); chmod 600 it")
        try:
            self._secret = bytes.fromhex(text.strip())
        except ValueError:
            self._secret = b""
        if len(self._secret) != MASTER_KEY_BYTES:
            raise Broken(f"the master key file {path} does not hold {MASTER_KEY_BYTES} bytes in hex")

    def derive(self, purpose: str) -> bytes:
        """A 32 byte key for one purpose."""
        return HKDF(SHA256(), 32, salt=None, info=f"otarium/{purpose}".encode()).derive(self._secret)

    def seal(self, key: Ed25519PrivateKey, role: str) -> SealedKey:
        public = PublicKey(key.public_key().public_bytes_raw().hex())
        nonce = secrets.token_bytes(_NONCE_BYTES)
        bound = _bound(role, public.key_id)
        sealed = nonce + AESGCM(self.derive("keys")).encrypt(nonce, key.private_bytes_raw(), bound)
        return SealedKey(role, public.key_id, public.public, sealed)

    def unseal(self, key: SealedKey) -> Ed25519PrivateKey:
        nonce, box = key.sealed[:_NONCE_BYTES], key.sealed[_NONCE_BYTES:]
        try:
            seed = AESGCM(self.derive("keys")).decrypt(nonce, box, _bound(key.role, key.key_id))
        except InvalidTag:
            raise Broken(f"the {key.role} key does not open: this is another master key") from None
        return Ed25519PrivateKey.from_private_bytes(seed)


def _bound(role: str, key_id: str) -> bytes:
    return f"{role}|{key_id}|ed25519".encode()


def generate(master: MasterKey) -> list[SealedKey]:
    """A separate key for every role."""
    return [master.seal(Ed25519PrivateKey.generate(), role) for role in ROLE_NAMES]


class LocalVault:
    """Secrets sealed under the master key; what they are for is bound in."""

    def __init__(self, master: MasterKey) -> None:
        self._box = AESGCM(master.derive("vault"))

    def seal(self, purpose: str, secret: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._box.encrypt(nonce, secret, purpose.encode())

    def open(self, purpose: str, sealed: bytes) -> bytes:
        try:
            return self._box.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], purpose.encode())
        except InvalidTag:
            raise Broken(f"the secret for {purpose} does not open: this is another master key") from None


class LocalVouchKeys:
    """A key of its own for every source that is vouched for."""

    def __init__(self, master: MasterKey) -> None:
        self._master = master

    def generate(self, name: SourceName) -> SealedKey:
        return self._master.seal(Ed25519PrivateKey.generate(), f"{ROLE_PREFIX}{name}")

    def sign(self, key: SealedKey, payload: bytes) -> bytes:
        return self._master.unseal(key).sign(payload)


class LocalSigner:
    """Signs with keys held in this process."""

    def __init__(self, rows: Sequence[SealedKey], master: MasterKey) -> None:
        self._keys = {
            row.role: (row.key_id, PublicKey(row.public), master.unseal(row))
            for row in rows
            if row.role in ROLE_NAMES
        }
        missing = set(ROLE_NAMES) - set(self._keys)
        if missing:
            raise Broken(f"keys are missing for {', '.join(sorted(missing))}")

    def role_keys(self) -> RoleKeys:
        keys = {role: (public,) for role, (_, public, _) in self._keys.items()}
        return RoleKeys(keys, dict.fromkeys(keys, 1))

    def sign(self, role: str, payload: bytes) -> tuple[Signature, ...]:
        key_id, _, private = self._keys[role]
        return (Signature(key_id, private.sign(payload)),)
