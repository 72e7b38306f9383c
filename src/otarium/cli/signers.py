"""Keys of a publisher: PEM files, and signers that keep the private part elsewhere.

Import this only inside a command: cryptography comes with the extra `server` or `kms`.
"""

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import typer
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from otarium.cli.output import USAGE, stop
from otarium.domain import canonical
from otarium.domain.errors import Invalid, Unavailable
from otarium.domain.publication import SigningKey
from otarium.domain.publishers import PublisherKey, parse_key

Private = Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
_URI = re.compile(r"[a-z][a-z0-9+.-]*:.*")
_KINDS = "use Ed25519, RSA of 2048, 3072 or 4096 bits, or ECDSA P-256"


def signing_keys(keys: Sequence[str], public_keys: Sequence[Path]) -> list[SigningKey]:
    """In the order given; the first public key belongs to the first URI. Raises Refusal, OSError."""
    uris = [key for key in keys if _is_uri(key)]
    if len(uris) != len(public_keys):
        stop(
            f"{len(uris)} of the keys are URIs, and {len(public_keys)} public keys were given: "
            "give one --public-key FILE for each URI, in the same order, and none for files",
            USAGE,
        )
    publics = iter(public_keys)
    return [_elsewhere(key, next(publics)) if _is_uri(key) else _of_file(Path(key)) for key in keys]


def _is_uri(key: str) -> bool:
    return _URI.fullmatch(key) is not None and not Path(key).exists()


def new_key(path: Path) -> PublisherKey:
    """Writes a new private key that only its owner can read. Raises FileExistsError, OSError."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(handle)
    return _publisher_key(private.public_key(), path)


def _of_file(path: Path) -> SigningKey:
    pem = path.read_bytes()
    try:
        key = serialization.load_pem_private_key(pem, None)
    except TypeError:
        raise Invalid(f"{path} is encrypted; decrypt it first, or keep the key in a KMS.") from None
    except (ValueError, UnsupportedAlgorithm):
        held = (
            "a public key, and signing needs the private one"
            if b"PUBLIC KEY-" in pem
            else "no PEM private key"
        )
        raise Invalid(f"{path} holds {held}; `otarium source key FILE` makes one.") from None
    if not isinstance(key, Private):
        raise Invalid(f"{path} holds a key of a kind that devices do not know; {_KINDS}.")
    return SigningKey(_publisher_key(key.public_key(), path), _signing(key))


def _signing(key: Private) -> Callable[[bytes], bytes]:
    if isinstance(key, Ed25519PrivateKey):
        return key.sign
    if isinstance(key, rsa.RSAPrivateKey):
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
        return lambda payload: key.sign(payload, pss, hashes.SHA256())
    return lambda payload: key.sign(payload, ec.ECDSA(hashes.SHA256()))


def _publisher_key(public: object, path: Path) -> PublisherKey:
    """With the key id of TUF, the hash of the key object. Raises Invalid."""
    try:
        key = parse_key(_stated(public))
    except Invalid:
        size = f" of {public.key_size} bits" if hasattr(public, "key_size") else ""
        raise Invalid(f"{path} holds a key{size} of a kind that devices do not know; {_KINDS}.") from None
    return replace(key, key_id=hashlib.sha256(canonical.olpc(key.to_object())).hexdigest())


def _stated(public: object) -> dict[str, object]:
    """The key object; of an unknown kind, one that nobody takes."""
    if isinstance(public, Ed25519PublicKey):
        return {"keytype": "ed25519", "keyval": {"public": public.public_bytes_raw().hex()}}
    if not isinstance(public, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        return {}
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = public.public_bytes(serialization.Encoding.PEM, form).decode()
    return {"keytype": "rsa" if isinstance(public, rsa.RSAPublicKey) else "ecdsa", "keyval": {"public": pem}}


def _public_of_file(path: Path) -> PublisherKey:
    try:
        public = serialization.load_pem_public_key(path.read_bytes())
    except (ValueError, UnsupportedAlgorithm):
        raise Invalid(f"{path} holds no PEM public key; export it from where the private key is.") from None
    return _publisher_key(public, path)


def _elsewhere(uri: str, public: Path) -> SigningKey:
    """A KMS or a hardware token, through securesystemslib, whose signers raise whatever they like."""
    try:
        from securesystemslib.signer import Key, Signer  # type: ignore[attr-defined] # public, not marked so
    except ImportError:
        stop(f"{uri} is asked through securesystemslib, which is not installed: pip install 'otarium[kms]'")
    key = _public_of_file(public)
    try:
        signer = Signer.from_priv_key_uri(uri, Key.from_dict(key.key_id, key.to_object()), _secret)
    except Exception as error:
        raise Invalid(f"The key {uri} cannot be used: {_told(error)}.") from None

    def sign(payload: bytes) -> bytes:
        try:
            return bytes.fromhex(signer.sign(payload).signature)
        except Exception as error:
            raise Unavailable(f"The key {uri} did not sign: {_told(error)}.") from None

    return SigningKey(key, sign)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(". ")


@cache
def _secret(name: str) -> str:
    """A PIN or passphrase, asked for once although every file is signed by itself."""
    return str(typer.prompt(f"{name} of the signing key", hide_input=True, err=True))
