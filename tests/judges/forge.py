"""The repository of the vectors, rebuilt from its published seeds, so that one thing can be made wrong.

`signed` holds the signed parts; `build()` signs them and chains versions, lengths and hashes bottom up.
A hook in `spoil_line` changes what a parent promises (it is given the file's bytes too), one in
`spoil_envelope` the signed file before its hash is taken, one in `spoil_bytes` the bytes served.
"""

import base64
import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from judges.uptane_canonical import canonical
from judges.uptane_transport import Response

VECTORS = Path(__file__).parent / "vectors"
BODY = b"version: '3'\n"
BASE = "memory:/repo"
SEEDS = {"root": 1, "targets": 2, "snapshot": 3, "timestamp": 4, "tdx-nightly": 5}
Json = dict[str, Any]


def private_key(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def public_hex(number: int) -> str:
    return private_key(number).public_key().public_bytes_raw().hex()


def key_entry(number: int) -> Json:
    return {"keytype": "ed25519", "keyval": {"public": public_hex(number)}}


def signature(number: int, keyid: str, signed: Json) -> Json:
    sig = private_key(number).sign(canonical(signed))
    return {"keyid": keyid, "method": "ed25519", "sig": base64.b64encode(sig).decode()}


class Memory:
    """Serves files from a dict, cut off at the limit like any careful reader; answers can be scripted."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.scripted: dict[str, list[Response]] = {}
        self.headers: list[dict[str, str]] = []

    def __call__(self, url: str, headers: dict[str, str], limit: int) -> Response:
        path = url.removeprefix(BASE + "/")
        self.headers.append(headers)
        if self.scripted.get(path):
            return self.scripted[path].pop(0)
        body = self.files.get(path)
        return Response(404) if body is None else Response(200, body[:limit], broken=len(body) > limit)


class Forge:
    def __init__(self) -> None:
        roles = ("root", "timestamp", "snapshot", "targets", "tdx-nightly")
        raw = {role: json.loads((VECTORS / f"{role}.json").read_bytes()) for role in roles}
        self.signed: dict[str, Json] = {role: copy.deepcopy(raw[role]["signed"]) for role in roles}
        self.keyids: dict[str, str] = {role: raw[role]["signatures"][0]["keyid"] for role in roles}
        self.signers: dict[str, list[tuple[int, str]]] = {
            role: [(SEEDS[role], self.keyids[role])] for role in roles
        }
        self.extra: list[str] = []  # further delegated roles, signed like tdx-nightly
        self.spoil_line: dict[str, Callable[[Json, bytes], Any]] = {}
        self.spoil_envelope: dict[str, Callable[[Json], None]] = {}
        self.spoil_bytes: dict[str, Callable[[bytes], bytes]] = {}

    def build(self) -> dict[str, bytes]:
        files = {f"{self.signed['root']['version']}.root.json": self._file("root")}
        files["targets/my-app-1.0.0"] = BODY
        for role in ["tdx-nightly", *self.extra]:
            files[f"delegations/{role}.json"] = self._promised("snapshot", role)
        files["targets.json"] = self._promised("snapshot", "targets")
        files["snapshot.json"] = self._promised("timestamp", "snapshot")
        files["timestamp.json"] = self._file("timestamp")
        return files

    def _promised(self, parent: str, role: str) -> bytes:
        """The bytes to serve; the parent's line about them is written on the way."""
        envelope = self._envelope(role)
        whole = canonical(envelope)
        line = {"version": self.signed[role]["version"], "length": len(whole)}
        line["hashes"] = {"sha256": hashlib.sha256(whole).hexdigest()}
        self.signed[parent]["meta"][f"{role}.json"] = line
        self.spoil_line.get(role, lambda line, whole: None)(line, whole)
        return self._bytes(role, whole)

    def _file(self, role: str) -> bytes:
        return self._bytes(role, canonical(self._envelope(role)))

    def _envelope(self, role: str) -> Json:
        signed = self.signed[role]
        envelope = {"signatures": [signature(*signer, signed) for signer in self.signers[role]]}
        envelope["signed"] = copy.deepcopy(signed)
        self.spoil_envelope.get(role, lambda _: None)(envelope)
        return envelope

    def _bytes(self, role: str, whole: bytes) -> bytes:
        return self.spoil_bytes.get(role, bytes)(whole)

    # What many tests need.

    def next_root(self, *, signers: list[tuple[int, str]] | None = None, **changes: Any) -> bytes:
        """A root of the next version; keys and roles as before unless `changes` say otherwise."""
        signed = (
            copy.deepcopy(self.signed["root"]) | {"version": self.signed["root"]["version"] + 1} | changes
        )
        keys = self.signers["root"] if signers is None else signers
        return canonical({"signatures": [signature(*key, signed) for key in keys], "signed": signed})

    def publish(self) -> None:
        """The next release: all three versions go up."""
        for role in ("targets", "snapshot", "timestamp"):
            self.signed[role]["version"] += 1

    def delegate(self, parent: str, name: str, paths: list[str], targets: Json, **entry: Any) -> None:
        keyid = self.keyids["tdx-nightly"]
        delegations = self.signed[parent].setdefault("delegations", {"keys": {}, "roles": []})
        delegations["keys"][keyid] = key_entry(SEEDS["tdx-nightly"])
        delegations["roles"].append({"name": name, "keyids": [keyid], "threshold": 1, "paths": paths} | entry)
        self.signed[name] = copy.deepcopy(self.signed["tdx-nightly"]) | {"targets": targets}
        self.signers[name] = self.signers["tdx-nightly"]
        self.extra.append(name)


def target_entry(body: bytes, *hardware_ids: str, **custom: Any) -> Json:
    hashes = {"sha256": hashlib.sha256(body).hexdigest()}
    return {"length": len(body), "hashes": hashes, "custom": {"hardwareIds": list(hardware_ids), **custom}}
