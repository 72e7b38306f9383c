# mypy: disable-error-code="attr-defined"
# python-tuf does not mark what its public modules export.
"""A publisher of package lists: a folder with keys, the commands run in it, and judges of what they write."""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import Key
from tuf.api import metadata as tuf
from typer.testing import CliRunner

from client.commandline import Result
from judges import uptane_keys, uptane_roles
from otarium.cli import publishing
from otarium.domain.delegation import Accepted, accept
from otarium.domain.roles import Dialect
from otarium.domain.sources import parse_delegation

FETCH = "https://updates.example/feeds/acme.json"
DIALECTS = {"acme.json": Dialect.UPTANE, "acme.tuf.json": Dialect.TUF}


def app(**changes: Any) -> dict[str, Any]:
    """A package of the list; what is None is left out."""
    stated = {
        "name": "acme-app",
        "version": "1.0",
        "hardwareIds": ["my-board"],
        "sha256": hashlib.sha256(b"app").hexdigest(),
        "length": 3,
        "uri": "https://files.example/acme-app-1.0",
    } | changes
    return {name: value for name, value in stated.items() if value is not None}


@dataclass
class Publisher:
    """A folder with keys, in which the commands are run."""

    folder: Path

    def run(self, *words: str | Path) -> Result:
        root, group = typer.Typer(), typer.Typer()
        publishing.register(group)
        root.add_typer(group, name="source")
        clean = dict.fromkeys(name for name in os.environ if name.startswith("OTARIUM_"))
        with contextlib.chdir(self.folder):
            done = CliRunner().invoke(root, ["source", *map(str, words)], env=clean)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Result(done.exit_code, done.stdout, done.stderr)

    def publish(self, packages: object, *words: str | Path, keys: Sequence[str] = ("ed25519.pem",)) -> Result:
        (self.folder / "packages.json").write_text(json.dumps(packages))
        given = [word for key in keys for word in ("--key", key)]
        where = ("--name", "acme", "--fetch-url", FETCH, "--packages", "packages.json")
        return self.run("publish", *where, *given, *words)

    def published(self, packages: object, *words: str | Path, keys: Sequence[str] = ("ed25519.pem",)) -> str:
        """What was said on stderr by a run that must succeed."""
        done = self.publish(packages, *words, keys=keys)
        assert done.code == 0, done.err
        return done.err

    def read(self, name: str) -> Any:
        return json.loads((self.folder / name).read_bytes())

    @property
    def bundle(self) -> Any:
        return self.read("add-acme.json")

    def accepted(self, name: str) -> Accepted:
        """What a repository that imported the bundle says to the list."""
        delegation = parse_delegation(self.bundle["keys"], self.bundle["delegationMetadata"])
        return accept((self.folder / name).read_bytes(), delegation, {}, int(time.time()), 0)

    def seen_by_python_tuf(self, name: str = "acme.tuf.json") -> tuf.Targets:
        """The list, after python-tuf verified it as a delegated role of a repository."""
        metadata = self.bundle["delegationMetadata"]
        by_id = zip(metadata["keyids"], self.bundle["keys"], strict=True)
        keys = {key_id: Key.from_dict(key_id, stated) for key_id, stated in by_id}
        role = tuf.DelegatedRole(
            metadata["name"], metadata["keyids"], metadata["threshold"], False, paths=metadata["paths"]
        )
        importing = tuf.Targets(delegations=tuf.Delegations(keys, {"acme": role}))
        read = tuf.Metadata[tuf.Targets].from_bytes((self.folder / name).read_bytes())
        importing.verify_delegate("acme", read.signed_bytes, read.signatures)
        assert all(role.is_delegated_path(target) for target in read.signed.targets)
        return read.signed

    def seen_by_a_device(self, name: str = "acme.json") -> dict[str, Any]:
        """The list, after the Uptane device of the tests verified it, canonical bytes included."""
        metadata = self.bundle["delegationMetadata"]
        keys = uptane_keys.read_keys(
            dict(zip(metadata["keyids"], self.bundle["keys"], strict=True)), "bundle"
        )
        trust = uptane_keys.trust_of(metadata, keys, "bundle")
        raw = (self.folder / name).read_bytes()
        return uptane_roles.read_role(raw, name, "Targets", trust, strict=True).signed


def write_key(path: Path, key: Any, form: str = "PKCS8", password: bytes | None = None) -> None:
    hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    chosen = getattr(serialization.PrivateFormat, form)
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, chosen, hidden))


def public_pem(key: Any) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


KEYS = {
    "ed25519": Ed25519PrivateKey.generate(),
    "second": Ed25519PrivateKey.generate(),
    "rsa": rsa.generate_private_key(65537, 2048),
    "ecdsa": ec.generate_private_key(ec.SECP256R1()),
}


def publisher_in(folder: Path) -> Publisher:
    """With every key in a file of its name."""
    for name, key in KEYS.items():
        write_key(folder / f"{name}.pem", key)
    return Publisher(folder)


def refused(done: Result, *words: str, code: int = 1) -> None:
    """One line on stderr that has the words, and nothing on stdout."""
    assert done.code == code, done
    assert (done.out, done.err.count("\n")) == ("", 1), done
    for word in words:
        assert word in done.err, done.err
