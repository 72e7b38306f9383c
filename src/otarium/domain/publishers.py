"""Keys and signatures of other publishers: more kinds than this repository makes itself.

Ed25519, RSA (2048, 3072, 4096 bits, PSS with SHA-256) and ECDSA (P-256, TUF 1.0 only, since aktualizr
refuses a whole file that names a key of another kind).
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from otarium.domain import canonical
from otarium.domain.errors import Invalid, SourceUnsigned
from otarium.domain.roles import Dialect

SIGNATURES = 32
_METHODS = ("ed25519", "rsassa-pss", "rsassa-pss-sha256")
_SCHEMES = {"ed25519": "ed25519", "rsa": "rsassa-pss-sha256", "ecdsa": "ecdsa-sha2-nistp256"}
_RSA_BITS = (2048, 3072, 4096)
_HEX_64 = re.compile(r"[0-9a-f]{64}")
_KEY_ID = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")
_Public = Ed25519PublicKey | rsa.RSAPublicKey | ec.EllipticCurvePublicKey


@dataclass(frozen=True)
class PublisherKey:
    """`public` is 64 lower-case hexadecimal digits (Ed25519) or a PEM SubjectPublicKeyInfo."""

    key_id: str
    kind: str
    public: str

    def to_object(self) -> dict[str, Any]:
        """As both dialects can read it: lower-case keytype for TUF, `scheme` is ignored by aktualizr."""
        return {"keytype": self.kind, "keyval": {"public": self.public}, "scheme": _SCHEMES[self.kind]}

    def usable_in(self, dialect: Dialect) -> bool:
        return dialect is Dialect.TUF or self.kind != "ecdsa"

    @cached_property
    def _key(self) -> _Public:
        return _load(self.kind, self.public)

    @cached_property
    def material(self) -> bytes:
        """What makes two keys the same key."""
        return _der(self._key)

    def verifies(self, signature: bytes, payload: bytes) -> bool:
        try:
            if isinstance(self._key, Ed25519PublicKey):
                self._key.verify(signature, payload)
            elif isinstance(self._key, rsa.RSAPublicKey):
                pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.AUTO)
                self._key.verify(signature, payload, pss, hashes.SHA256())
            else:
                self._key.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


def _load(kind: str, public: str) -> _Public:
    """Raises Invalid, ValueError or UnsupportedAlgorithm."""
    if kind == "ed25519":
        if not _HEX_64.fullmatch(public):
            raise ValueError("not 64 hexadecimal digits")
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
    if "BEGIN PUBLIC KEY" not in public:
        raise ValueError("not a SubjectPublicKeyInfo, the only form that devices read")
    key = serialization.load_pem_public_key(public.encode())
    if kind == "rsa" and isinstance(key, rsa.RSAPublicKey):
        if key.key_size not in _RSA_BITS:
            raise Invalid(f"An RSA key of {key.key_size} bits is not taken; use 2048, 3072 or 4096.")
        return key
    if kind == "ecdsa" and isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1":
        return key
    raise Invalid(f"The public key does not hold a key of keytype {kind}.")


def _der(key: _Public) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.DER, form)


def _kind(stated: Mapping[str, Any]) -> str:
    kind = str(stated.get("keytype", "")).lower()
    return "ecdsa" if kind in ("ecdsa-sha2-nistp256", "ecprime256v1") else kind


def _public(stated: Mapping[str, Any]) -> str:
    """Lower-case hex digits or PEM; ota-tuf writes EC keys as DER in hex. Raises ValueError."""
    public = str(stated["keyval"]["public"])
    if _kind(stated) == "ed25519":
        return public.lower()
    if _kind(stated) == "ecdsa" and re.fullmatch(r"[0-9a-fA-F]+", public):
        pem, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return serialization.load_der_public_key(bytes.fromhex(public)).public_bytes(pem, form).decode()
    return public


def parse_key(stated: object, key_id: str | None = None) -> PublisherKey:
    """A key object of TUF or Uptane. Raises Invalid, also for an id that claims to be a hash and is not."""
    if not isinstance(stated, dict):
        raise Invalid("A key must be an object with keytype and keyval.")
    keyval = stated.get("keyval")
    if _kind(stated) not in _SCHEMES or not (
        isinstance(keyval, dict) and isinstance(keyval.get("public"), str)
    ):
        raise Invalid(
            f"A key of keytype {stated.get('keytype')!a:.40} is not taken; use ed25519, rsa or ecdsa."
        )
    if keyval.get("private"):
        raise Invalid("A key carries its private part; take it out, and make a new key: this one is known.")
    try:
        public = _public(stated)
        _load(_kind(stated), public)
    except (ValueError, UnsupportedAlgorithm):
        raise Invalid(f"The public part of a key of keytype {_kind(stated)} cannot be read.") from None
    known = key_ids(stated)
    if key_id is None:
        key_id = known[0]
    elif not _KEY_ID.fullmatch(key_id):
        raise Invalid(f"The key id {key_id!a:.80} is not allowed.")
    elif _HEX_64.fullmatch(key_id) and key_id not in known:
        raise Invalid(f"The key id {key_id} is not the hash of its key; ask the publisher for the right key.")
    return PublisherKey(key_id, _kind(stated), public)


def key_of_pem(text: str) -> PublisherKey:
    """A public key file of any kind that is taken. Raises Invalid."""
    try:
        key = serialization.load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise Invalid("The key file is not a public key in PEM.") from None
    if isinstance(key, Ed25519PublicKey):
        return parse_key({"keytype": "ed25519", "keyval": {"public": key.public_bytes_raw().hex()}})
    kind = "rsa" if isinstance(key, rsa.RSAPublicKey) else "ecdsa"
    return parse_key({"keytype": kind, "keyval": {"public": text}})


def key_ids(stated: Mapping[str, Any]) -> tuple[str, ...]:
    """Every id that publishers' tools give a key: ota-tuf hashes its DER form, Uptane's tools the public part
    as JSON, TUF the key object."""
    public = stated["keyval"]["public"]
    bare = {"keytype": stated["keytype"], "keyval": {"public": public}}
    kind = str(stated["keytype"]).lower()
    schemes = (stated.get("scheme"), _SCHEMES.get(kind))
    objects: list[object] = [stated, bare, bare | {"keytype": kind}]
    objects += [bare | {"keytype": kind, "scheme": scheme} for scheme in schemes if isinstance(scheme, str)]
    texts = [_der(_load(_kind(stated), _public(stated))), canonical.uptane(public.rstrip("\n"))]
    texts.append(canonical.uptane(public))
    texts += [form(one) for one in objects for form in (canonical.olpc, canonical.uptane)]
    return tuple(dict.fromkeys(hashlib.sha256(text).hexdigest() for text in texts))


def signatures_of(listed: list[Any], dialect: Dialect, name: str) -> Iterator[tuple[str, bytes | None]]:
    """(key id, value) of each signature; None for one that cannot be decoded, which verifies nothing. Raises
    SourceUnsigned for what a device would refuse whole."""
    if not 1 <= len(listed) <= SIGNATURES:
        raise SourceUnsigned(f"The file of {name} has {len(listed)} signatures, 1-{SIGNATURES} are taken.")
    seen = set()
    for one in listed:
        key_id = one.get("keyid") if isinstance(one, dict) else None
        if not isinstance(key_id, str) or not isinstance(one.get("sig"), str):
            raise SourceUnsigned(f"The file of {name} has a signature without keyid or sig.")
        if key_id in seen:
            raise SourceUnsigned(f"The file of {name} has two signatures by key {key_id[:80]!a}.")
        seen.add(key_id)
        if dialect is Dialect.UPTANE and str(one.get("method")).lower() not in _METHODS:
            raise SourceUnsigned(
                f"The file of {name} has a signature with method {one.get('method')!a:.40}; "
                "devices take ed25519 and rsassa-pss-sha256."
            )
        yield key_id, _decoded(one["sig"], dialect)


def _decoded(text: str, dialect: Dialect) -> bytes | None:
    try:
        if dialect is Dialect.UPTANE:
            return base64.b64decode(text, validate=True)
        return bytes.fromhex(text) if text.isalnum() else None  # blanks end it for tuf-js
    except (binascii.Error, ValueError):
        return None
