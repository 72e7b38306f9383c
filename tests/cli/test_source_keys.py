"""The keys of `otarium source publish`: files, signers elsewhere, and `otarium source key`."""

import json
import stat
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import SSlibKey

from list_publisher import KEYS, Publisher, app, public_pem, publisher_in, refused, write_key


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return publisher_in(tmp_path)


def test_a_new_key_is_for_its_owner_alone_and_signs(publisher: Publisher) -> None:
    done = publisher.run("key", "new.pem")
    path = publisher.folder / "new.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    key_id = SSlibKey.from_crypto(key.public_key()).keyid
    assert done.out.splitlines() == [f"key id\t{key_id}", "file\tnew.pem"]
    publisher.published([app()], keys=["new.pem"])
    assert publisher.bundle["delegationMetadata"]["keyids"] == [key_id]


def test_a_key_is_never_overwritten(publisher: Publisher) -> None:
    before = (publisher.folder / "rsa.pem").read_bytes()
    refused(publisher.run("key", "rsa.pem"), "rsa.pem exists already")
    assert (publisher.folder / "rsa.pem").read_bytes() == before


def test_a_new_key_is_told_of_as_json(publisher: Publisher) -> None:
    made = json.loads(publisher.run("key", "new.pem", "--json").out)
    assert (set(made), made["file"], len(made["keyId"])) == ({"keyId", "file"}, "new.pem", 64)


def test_a_wrong_key_file_is_refused_with_its_name(publisher: Publisher) -> None:
    folder = publisher.folder
    (folder / "text.pem").write_text("hello")
    (folder / "public.pem").write_bytes(public_pem(KEYS["rsa"]))
    write_key(folder / "locked.pem", KEYS["ed25519"], password=b"secret")
    write_key(folder / "small.pem", rsa.generate_private_key(65537, 1024))
    write_key(folder / "p384.pem", ec.generate_private_key(ec.SECP384R1()))
    for name, word in {
        "text.pem": "no PEM private key",
        "public.pem": "a public key",
        "locked.pem": "is encrypted",
        "small.pem": "1024 bits",
        "p384.pem": "384 bits",
        "missing.pem": "No such file",
    }.items():
        refused(publisher.publish([app()], keys=[name]), name, word)


def test_a_key_given_twice_is_refused(publisher: Publisher) -> None:
    refused(publisher.publish([app()], keys=["rsa.pem", "rsa.pem"]), "is given twice")


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_a_signer_elsewhere_signs_through_its_uri(publisher: Publisher, kind: str) -> None:
    (publisher.folder / "public.pem").write_bytes(public_pem(KEYS[kind]))
    uri = f"file2:{publisher.folder / f'{kind}.pem'}"
    publisher.published([app()], "--public-key", "public.pem", keys=[uri, "second.pem"])
    publisher.seen_by_python_tuf()
    if kind != "ecdsa":
        publisher.seen_by_a_device()


def test_a_signer_elsewhere_that_does_not_fit_is_refused(publisher: Publisher) -> None:
    folder = publisher.folder
    (folder / "public.pem").write_bytes(public_pem(KEYS["second"]))
    refused(publisher.publish([app()], keys=[f"file2:{folder}/ed25519.pem"]), "--public-key FILE", code=2)
    refused(publisher.publish([app()], "--public-key", "public.pem"), "none for files", code=2)
    publics = ("--public-key", "public.pem")
    refused(publisher.publish([app()], *publics, keys=[f"file2:{folder}/ed25519.pem"]), "does not match")
    refused(publisher.publish([app()], *publics, keys=["nowhere:1"]), "nowhere:1", "Unsupported")
    (folder / "public.pem").write_text("hello")
    refused(publisher.publish([app()], *publics, keys=["nowhere:1"]), "public.pem", "no PEM public key")


def test_a_signer_that_signs_with_another_key_is_found_out(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    from otarium.cli import signers

    monkeypatch.setattr(signers, "_signing", lambda key: KEYS["second"].sign)
    refused(publisher.publish([app()]), "does not verify", "public key that belongs")


@pytest.mark.parametrize(
    ("module", "extra"),
    [("cryptography.exceptions", "otarium[server]"), ("securesystemslib.signer", "otarium[kms]")],
)
def test_what_is_not_installed_is_named(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch, module: str, extra: str
) -> None:
    (publisher.folder / "public.pem").write_bytes(public_pem(KEYS["ed25519"]))
    monkeypatch.delitem(sys.modules, "otarium.cli.signers", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    refused(publisher.publish([app()], "--public-key", "public.pem", keys=["file2:ed25519"]), extra)
