"""Keys, signatures and thresholds as an Uptane device takes them.

One key of an unknown type, one signature without a known `method` or one repeated key id rejects the file.
`method` never chooses the algorithm: the key does. Signatures by unknown keys are skipped.
"""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from judges.uptane_canonical import canonical
from judges.uptane_errors import BadSignatures, Malformed

Verify = Callable[[bytes, bytes], None]
_METHODS = {"ed25519", "rsassa-pss", "rsassa-pss-sha256"}
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_BASE64_CHARACTERS = re.compile(r"[A-Za-z0-9+/=\s]*", re.ASCII)
_ED25519_PUBLIC = re.compile(r"[0-9a-fA-F]{64}")
_RSA_SIZES = {2048, 3072, 4096}
_MAX_THRESHOLD = 1000


@dataclass(frozen=True)
class Trust:
    """Who may sign a file: keys by id, and how many of them must."""

    keys: dict[str, Verify]
    threshold: int


def read_keys(entries: Any, what: str) -> dict[str, Verify]:
    if not isinstance(entries, dict):
        raise Malformed(f"{what}: keys is not an object")
    return {keyid: _read_key(entry, f"{what}: key {keyid}") for keyid, entry in entries.items()}


def _read_key(entry: Any, what: str) -> Verify:
    try:
        keytype, public = entry["keytype"].lower(), entry["keyval"]["public"]
    except (TypeError, KeyError, AttributeError):
        raise Malformed(f"{what}: keytype or keyval.public is missing") from None
    if keytype == "ed25519":
        return _ed25519(public, what)
    if keytype == "rsa":
        return _rsa_pss(public, what)
    raise BadSignatures(f"{what}: a key of type {keytype!r} rejects the whole file")


def _ed25519(public: Any, what: str) -> Verify:
    if not isinstance(public, str) or not _ED25519_PUBLIC.fullmatch(public):
        raise Malformed(f"{what}: an Ed25519 public key is 64 hex digits")
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
    return lambda signature, data: key.verify(signature, data)


def _rsa_pss(public: Any, what: str) -> Verify:
    try:
        key = load_pem_public_key(public.encode())
    except (AttributeError, ValueError, UnsupportedAlgorithm):
        raise Malformed(f"{what}: an RSA public key is a PEM SubjectPublicKeyInfo") from None
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size not in _RSA_SIZES:
        raise BadSignatures(f"{what}: RSA keys have 2048, 3072 or 4096 bits")
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.AUTO)
    return lambda signature, data: key.verify(signature, data, pss, hashes.SHA256())


def trust_of(role: Any, keys: dict[str, Verify], what: str) -> Trust:
    try:
        keyids, threshold = role["keyids"], role["threshold"]
    except (TypeError, KeyError):
        raise Malformed(f"{what}: keyids or threshold is missing") from None
    if type(threshold) is not int or not 1 <= threshold <= _MAX_THRESHOLD:
        raise BadSignatures(f"{what}: threshold {threshold!r} is not within 1..{_MAX_THRESHOLD}")
    if not isinstance(keyids, list):
        raise Malformed(f"{what}: keyids is not a list")
    return Trust({keyid: keys[keyid] for keyid in keyids if keyid in keys}, threshold)


def check_signatures(envelope: dict[str, Any], trust: Trust, what: str, *, strict: bool) -> None:
    data = canonical(envelope["signed"])
    signatures = _read_signatures(envelope.get("signatures"), what)
    known = {keyid: sig for keyid, sig in signatures.items() if keyid in trust.keys}
    good = {keyid for keyid, sig in known.items() if _verifies(trust.keys[keyid], sig, data)}
    if len(good) < trust.threshold:
        raise BadSignatures(f"{what}: {len(good)} good signatures, {trust.threshold} needed")
    if strict and (useless := set(signatures) - good):
        raise BadSignatures(f"{what}: signatures that serve nobody: {sorted(useless)}")


def _read_signatures(entries: Any, what: str) -> dict[str, str]:
    if not isinstance(entries, list):
        raise Malformed(f"{what}: signatures is not a list")
    found: dict[str, str] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not all(isinstance(entry.get(k), str) for k in ("keyid", "sig")):
            raise Malformed(f"{what}: a signature without keyid or sig")
        if str(entry.get("method", "")).lower() not in _METHODS:
            raise Malformed(f"{what}: unsupported sign method {entry.get('method')!r}")
        if entry["keyid"] in found:
            raise BadSignatures(f"{what}: key id {entry['keyid']} signs twice")
        found[entry["keyid"]] = entry["sig"]
    return found


def _verifies(verify: Verify, sig: str, data: bytes) -> bool:
    if not _BASE64_CHARACTERS.fullmatch(sig):
        raise Malformed(f"a signature with other characters than base64: {sig[:40]!r}")
    if not _BASE64.fullmatch(sig) or len(sig) % 4:
        return False
    try:
        verify(base64.b64decode(sig), data)
    except InvalidSignature:
        return False
    return True
