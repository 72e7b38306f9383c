"""Single changes to a good repository, each with the refusal that a device (or the strict judge) owes it."""

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from judges.forge import Forge, Json, key_entry, public_hex, signature
from judges.uptane_canonical import canonical

PAST = "2026-11-23T17:59:59Z"


def set_in(role: str, *path: str | int, value: Any) -> Callable[[Forge], None]:
    def change(forge: Forge) -> None:
        place: Any = forge.signed[role]
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


def drop(role: str, *path: str) -> Callable[[Forge], None]:
    def change(forge: Forge) -> None:
        place: Any = forge.signed[role]
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]

    return change


def envelope(role: str, change: Callable[[Json], None]) -> Callable[[Forge], None]:
    return lambda forge: forge.spoil_envelope.update({role: change})


def line(role: str, change: Callable[[Json], Any]) -> Callable[[Forge], None]:
    return lambda forge: forge.spoil_line.update({role: lambda at, _: change(at)})


def served(role: str, change: Callable[[bytes], bytes]) -> Callable[[Forge], None]:
    return lambda forge: forge.spoil_bytes.update({role: change})


def sign_with(role: str, **members: Any) -> Callable[[Forge], None]:
    return envelope(role, lambda env: env["signatures"][0].update(members))


def as_hex(env: Json) -> None:
    env["signatures"][0]["sig"] = base64.b64decode(env["signatures"][0]["sig"]).hex()


def without_padding(env: Json) -> None:
    env["signatures"][0]["sig"] = env["signatures"][0]["sig"].rstrip("=")


def without_method(env: Json) -> None:
    del env["signatures"][0]["method"]


def stranger(**changes: Any) -> Callable[[Json], None]:
    def add(env: Json) -> None:
        entry = signature(9, "a-stranger", env["signed"]) | changes
        env["signatures"].append({key: value for key, value in entry.items() if value is not None})

    return add


def countersigned(raw: bytes) -> bytes:
    env = json.loads(raw)
    stranger()(env)
    return canonical(env)


def only_sha512(at: Json, whole: bytes) -> None:
    at["hashes"] = {"sha512": hashlib.sha512(whole).hexdigest()}


def signed_later(env: Json) -> None:
    env["signed"]["expires"] = "2036-01-01T00:00:00Z"


def spare_key(**entry: Any) -> Callable[[Forge], None]:
    return set_in("root", "keys", "spare", value=entry)


def renamed_delegation(name: str) -> Callable[[Forge], None]:
    return set_in("targets", "delegations", "roles", 0, "name", value=name)


def two_needed(forge: Forge) -> None:
    forge.signed["root"]["roles"]["targets"]["threshold"] = 2


def small_rsa_key() -> dict[str, Any]:
    public = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return {"keytype": "rsa", "keyval": {"public": pem}}


REFUSED = {
    "a lower-case _type in timestamp": ("Malformed", set_in("timestamp", "_type", value="timestamp")),
    "a lower-case _type in snapshot": ("Malformed", set_in("snapshot", "_type", value="snapshot")),
    "a lower-case _type in targets": ("Malformed", set_in("targets", "_type", value="targets")),
    "a lower-case _type in a delegation": ("Malformed", set_in("tdx-nightly", "_type", value="targets")),
    "no _type in root": ("Malformed", drop("root", "_type")),
    "an expired root": ("Expired", set_in("root", "expires", value=PAST)),
    "an expired timestamp": ("Expired", set_in("timestamp", "expires", value=PAST)),
    "an expired snapshot": ("Expired", set_in("snapshot", "expires", value=PAST)),
    "an expired targets": ("Expired", set_in("targets", "expires", value=PAST)),
    "an expiry with a fraction": (
        "Malformed",
        set_in("targets", "expires", value="2027-01-01T00:00:00.000Z"),
    ),
    "an expiry with an offset": ("Malformed", set_in("root", "expires", value="2027-01-01T00:00:00+00:00")),
    "a version of 2^31": ("Malformed", set_in("timestamp", "version", value=2**31)),
    "a version that is a string": ("Malformed", set_in("targets", "version", value="2")),
    "a version that is true": ("Malformed", set_in("snapshot", "version", value=True)),
    "an unused key of another type": ("BadSignatures", spare_key(keytype="ecdsa", keyval={"public": "00"})),
    "an unused key without keyval": ("Malformed", spare_key(keytype="ed25519")),
    "an unused key that is too short": ("Malformed", spare_key(keytype="ed25519", keyval={"public": "00"})),
    "an unused RSA key of 1024 bits": ("BadSignatures", lambda forge: spare_key(**small_rsa_key())(forge)),
    "a delegation key of another type": (
        "BadSignatures",
        set_in("targets", "delegations", "keys", "x", value={"keytype": "ecdsa", "keyval": {"public": "00"}}),
    ),
    "threshold 0": ("BadSignatures", set_in("root", "roles", "targets", "threshold", value=0)),
    "threshold 1001": ("BadSignatures", set_in("root", "roles", "snapshot", "threshold", value=1001)),
    "threshold 2 with one signature": ("BadSignatures", two_needed),
    "no timestamp role in root": ("Malformed", drop("root", "roles", "timestamp")),
    "a hex signature": ("BadSignatures", envelope("timestamp", as_hex)),
    "base64 without padding": ("BadSignatures", envelope("snapshot", without_padding)),
    "a signature without method": ("Malformed", envelope("targets", without_method)),
    "a root signature without method": ("Malformed", envelope("root", without_method)),
    "an unknown sign method": ("Malformed", sign_with("targets", method="ecdsa")),
    "a stranger's signature without method": ("Malformed", envelope("snapshot", stranger(method=None))),
    "a signature by another role's key": (
        "BadSignatures",
        lambda forge: forge.signers.update(targets=forge.signers["snapshot"]),
    ),
    "a signature under another key's id": ("BadSignatures", sign_with("targets", keyid="a-stranger")),
    "one key id signing twice": (
        "BadSignatures",
        lambda forge: forge.signers.update(targets=forge.signers["targets"] * 2),
    ),
    "no signatures at all": ("BadSignatures", envelope("timestamp", lambda env: env["signatures"].clear())),
    "a signed part changed after signing": ("BadSignatures", envelope("targets", signed_later)),
    "a root changed after signing": ("BadSignatures", envelope("root", signed_later)),
    "a wrong hash of snapshot": (
        "WrongHash",
        line("snapshot", lambda at: at["hashes"].update(sha256="0" * 64)),
    ),
    "no hashes of snapshot": ("Malformed", line("snapshot", lambda at: at.pop("hashes"))),
    "only unknown hashes of snapshot": (
        "Malformed",
        line("snapshot", lambda at: at.update(hashes={"md5": "0"})),
    ),
    "no length of snapshot": ("Malformed", line("snapshot", lambda at: at.pop("length"))),
    "a length of snapshot that is too small": (
        "FetchFailed",
        line("snapshot", lambda at: at.update(length=at["length"] - 1)),
    ),
    "one wrong hash of two": ("WrongHash", line("targets", lambda at: at["hashes"].update(sha512="0" * 128))),
    "another version of snapshot": ("WrongVersion", line("snapshot", lambda at: at.update(version=3))),
    "another version of targets": ("WrongVersion", line("targets", lambda at: at.update(version=3))),
    "another version of a delegation": ("WrongVersion", line("tdx-nightly", lambda at: at.update(version=8))),
    "a wrong hash of a delegation": (
        "WrongHash",
        line("tdx-nightly", lambda at: at["hashes"].update(sha256="0" * 64)),
    ),
    "an empty line for targets": ("Malformed", line("targets", dict.clear)),
    "a delegation that snapshot does not list": ("WrongVersion", renamed_delegation("unlisted")),
    "a delegation with a reserved name": ("Malformed", renamed_delegation("offline-updates")),
    "a delegation whose name breaks its URL": ("Malformed", renamed_delegation("a b")),
    "an expired delegation's foreign key": (
        "BadSignatures",
        lambda forge: forge.signers.update({"tdx-nightly": forge.signers["targets"]}),
    ),
    "a file that is not the one hashed": ("WrongHash", served("targets", countersigned)),
    "text after the JSON": ("Malformed", served("targets", lambda raw: raw + b"// done")),
    "an HTML page": ("Malformed", served("timestamp", lambda raw: b"<html></html>")),
    "a timestamp of 65 KiB": ("FetchFailed", set_in("timestamp", "x-filler", value="x" * 66_560)),
    "a target with other bytes": (
        "DownloadFailed",
        set_in("targets", "targets", "my-app-1.0.0", "hashes", "sha256", value="0" * 64),
    ),
    "a target that is longer than said": (
        "DownloadFailed",
        set_in("targets", "targets", "my-app-1.0.0", "length", value=12),
    ),
    "a target that is shorter than said": (
        "DownloadFailed",
        set_in("targets", "targets", "my-app-1.0.0", "length", value=14),
    ),
}

CUSTOM = ("targets", "my-app-1.0.0", "custom")
UNREADABLE = {
    "a custom that is text": ("Malformed", set_in("targets", *CUSTOM, value="x")),
    "a custom that is a list": ("Malformed", set_in("tdx-nightly", "targets", "x", value={"custom": []})),
    "a list for a format": ("Malformed", set_in("targets", *CUSTOM, "targetFormat", value=["BINARY"])),
    "an object for a URI": ("Malformed", set_in("targets", *CUSTOM, "uri", value={})),
    "a list for a hardware id": ("Malformed", set_in("targets", *CUSTOM, "hardwareIds", value=[[]])),
    "a hardware id of 202 bytes": (
        "Malformed",
        set_in("targets", *CUSTOM, "hardwareIds", value=["docker-compose", "\u00e9" * 101]),
    ),
    "an ECU that is text": ("Malformed", set_in("targets", *CUSTOM, "ecuIdentifiers", value={"a": "x"})),
    "an ECU without a serial": ("Malformed", set_in("targets", *CUSTOM, "ecuIdentifiers", value={"": {}})),
    "a list for a hash": ("Malformed", set_in("tdx-nightly", "targets", "x", value={"hashes": {"md5": []}})),
    "a length below zero": ("Malformed", set_in("tdx-nightly", "targets", "x", value={"length": -1})),
    "a target that is text": ("Malformed", set_in("tdx-nightly", "targets", "x", value="x")),
    "a correlation id that is a list": (
        "Malformed",
        set_in("targets", "custom", value={"correlationId": []}),
    ),
    "a signature that is no base64": ("Malformed", sign_with("targets", sig="no base64!")),
}
"""A device asks for text, or for members, what has none."""
REFUSED |= UNREADABLE

ONLY_STRICT = {
    "a pretty-printed file": (
        "NotCanonical",
        served("targets", lambda raw: json.dumps(json.loads(raw), indent=1).encode()),
    ),
    "raw UTF-8 where escapes belong": (
        "NotCanonical",
        lambda forge: (
            set_in("targets", "targets", "my-app-1.0.0", "custom", "note", value="é")(forge),
            served("targets", lambda raw: raw.replace(b"\\u00e9", "é".encode()))(forge),
        ),
    ),
    "a number that is no integer": (
        "NotCanonical",
        set_in("targets", "targets", "my-app-1.0.0", "custom", "ratio", value=0.5),
    ),
    "an integer of 2^53": (
        "NotCanonical",
        set_in("targets", "targets", "my-app-1.0.0", "custom", "big", value=2**53),
    ),
    "a key above U+FFFF": ("NotCanonical", set_in("targets", "targets", "\U0001f600", value={})),
    "an unknown name among the root roles": (
        "Malformed",
        lambda forge: set_in(
            "root", "roles", "offline-updates", value=forge.signed["root"]["roles"]["targets"]
        )(forge),
    ),
    "a stranger's signature": ("BadSignatures", envelope("targets", stranger())),
    "no sha256 of snapshot": ("Malformed", lambda forge: forge.spoil_line.update(snapshot=only_sha512)),
    "a length of snapshot that is too large": (
        "Malformed",
        line("snapshot", lambda at: at.update(length=9999)),
    ),
    "a wrong length of targets": ("Malformed", line("targets", lambda at: at.update(length=1))),
    "no hashes of targets": ("Malformed", line("targets", lambda at: at.pop("hashes"))),
    "no hashes of a source": ("Malformed", line("tdx-nightly", lambda at: at.pop("hashes"))),
    "a timestamp that TUF clients do not read": (
        "TooLarge",
        set_in("timestamp", "x-filler", value="x" * 17_000),
    ),
}

HARMLESS = {
    "nothing": lambda forge: None,
    "odd values that have a text": lambda forge: (
        set_in("targets", *CUSTOM, "uri", value=None)(forge),
        set_in("targets", *CUSTOM, "targetFormat", value=True)(forge),
        set_in("targets", *CUSTOM, "ecuIdentifiers", value="x")(forge),
        set_in("targets", *CUSTOM, "version", value=[{}])(forge),
        set_in("targets", *CUSTOM, "hardwareIds", value=["docker-compose", 5, None, ""])(forge),
        set_in("targets", "targets", "odd", value={"custom": None, "length": 1, "hashes": {}})(forge),
        set_in("targets", "custom", value="x")(forge),
    ),
    "root of any case": set_in("root", "_type", value="ROOT"),
    "more members in the signed part": set_in("targets", "x-more", value={"spec_version": "1.0.31"}),
    "a method that does not fit the key": sign_with("targets", method="RSASSA-PSS-SHA256"),
    "an upper-case public key": lambda forge: spare_key(
        keytype="ED25519", keyval={"public": public_hex(7).upper()}
    )(forge),
    "an opaque key id": lambda forge: (
        set_in("root", "keys", "k", value=key_entry(8))(forge),
        set_in("root", "roles", "targets", value={"keyids": ["k"], "threshold": 1})(forge),
        forge.signers.update(targets=[(8, "k")]),
    ),
    "two signatures of two needed": lambda forge: (
        set_in("root", "keys", "k", value=key_entry(8))(forge),
        forge.signed["root"]["roles"]["targets"]["keyids"].append("k"),
        two_needed(forge),
        forge.signers["targets"].append((8, "k")),
    ),
}
