"""What an attacker may answer in the place of a supplier's list, and the refusal that each must meet."""

import gzip
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from device.external import Supplier
from device.memory import MIB
from judges.uptane_canonical import canonical
from publisher import Publisher, SigningKey, target, when

FETCH, READ = "delegation_remote_fetch_failed", "delegation_remote_parse_failed"
SIGN, VERSION = "payload_signature_invalid", "invalid_version_bump"
BOUNDS, EXPIRED = "invalid_delegated_target", "delegation_expired"


def listing(one: Supplier, targets: Any = None, **members: Any) -> bytes:
    """A list that would be taken over but for what is said here."""
    named = target(f"{one.name}/os-2") if targets is None else targets
    return one.publisher.uptane(named, **{"version": 6, **members})


def envelope(one: Supplier, **members: Any) -> dict[str, Any]:
    return json.loads(listing(one, **members))


def signed_by(one: Supplier, *keys: SigningKey) -> bytes:
    """By these alone, however often."""
    return canonical(one.publisher.signed_by(keys, envelope(one)["signed"]))


def under_two_ids(one: Supplier) -> bytes:
    first = one.publisher.keys[0]
    return signed_by(one, first, second_id(first))


def second_id(key: SigningKey) -> SigningKey:
    return SigningKey(key.kind, key.private, "spki")


def by_a_stranger(one: Supplier) -> bytes:
    return Publisher("stranger", keys=2).uptane(target(f"{one.name}/os-2"), 6)


def nested_deeply(one: Supplier) -> bytes:
    inner = "x"
    for _ in range(63):  # with the two objects around it
        inner = [inner]
    return listing(one, note=inner)


def named_twice(one: Supplier) -> bytes:
    raw = listing(one)
    return raw.replace(b'"version":6', b'"version":6,"version":6')


def nested(**delegations: Any) -> Callable[[Supplier], bytes]:
    return partial(listing, delegations=delegations)


def of_another_dialect(one: Supplier) -> bytes:
    """The signature of a TUF list over what an Uptane one would say."""
    signed = envelope(one)["signed"]
    return canonical(one.publisher.signed_by(one.publisher.keys, signed, dialect="tuf"))


def in_the_other_dialect(version: int) -> Callable[[Supplier], bytes]:
    """Publishers of both dialects put one file beside the other, where whoever holds the host finds them."""
    return lambda one: one.publisher.tuf(target(f"{one.name}/os-2"), version=version)


def edited(one: Supplier) -> bytes:
    made = envelope(one)
    made["signed"]["targets"][f"{one.name}/os-2"]["length"] += 1
    return canonical(made)


def filled(unit: bytes) -> Callable[[Supplier], bytes]:
    """As many small values as 8 MiB hold, unsigned."""
    head, tail = b'{"signatures":[],"signed":{"_type":"Targets","targets":[', b"0]}}"
    return lambda _: head + unit * ((8 * MIB - len(head) - len(tail)) // len(unit)) + tail


def many(one: Supplier) -> bytes:
    return listing(one, {f"{one.name}/{n}": {"hashes": {"a": "b"}, "length": 0} for n in range(20_001)})


def endless() -> Iterator[bytes]:
    while True:
        yield b" " * 65_536


def dripping() -> Iterator[bytes]:
    for _ in range(400):
        yield b" "
        time.sleep(0.2)


NESTED_ROLE = {"name": "x", "keyids": ["k"], "threshold": 1, "paths": ["*"], "terminating": True}
SUCCINCT = {"keyids": ["k"], "threshold": 1, "bit_length": 2, "name_prefix": "x"}


@dataclass(frozen=True)
class Attack:
    code: str
    says: str
    """What its reason has in it; a regular expression."""
    body: Callable[[Supplier], Any]
    """The bytes, or a callable that gives them in pieces."""
    headers: Any = None
    status: int = 200
    options: Mapping[str, Any] = field(default_factory=dict)
    """Members of its bundle."""
    moves_to: str | None = None
    """The address that the name of its host has from now on; it has a name then."""
    vouch: bool = True
    """Whether the source is vouched for, so that clients of /tuf have its list too."""


def redirect(to: str, says: str = "redirect", **options: Any) -> Attack:
    return Attack(FETCH, says, lambda _: b"", {"Location": to}, 302, options)


def followed(to: str) -> Attack:
    return redirect(to, "not public, and never allowed", followRedirects=True)


def rebound(to: str) -> Attack:
    return Attack(FETCH, "moving.test has the address .* never allowed", listing, moves_to=to)


ATTACKS = {
    "rollback": Attack(VERSION, "from version 5 to 4", partial(listing, version=4)),
    "other bytes of the same version": Attack(VERSION, "still 5", partial(listing, version=5)),
    "same meaning in other bytes": Attack(VERSION, "still 5", lambda one: one.raw["uptane"] + b"\n"),
    "rollback in the other dialect": Attack(
        VERSION, "version 4; .*version 5", in_the_other_dialect(4), vouch=False
    ),
    "same version in the other dialect": Attack(
        VERSION, "version 5; .*version 5", in_the_other_dialect(5), vouch=False
    ),
    "expired": Attack(EXPIRED, "expired at", partial(listing, expires=when(time.time() - 5))),
    "wrong type": Attack(READ, "_type", partial(listing, _type="Snapshot")),
    "list of another publisher": Attack(SIGN, "signed by 0", by_a_stranger),
    "edited after signing": Attack(SIGN, "signed by 0", edited),
    "no signature": Attack(SIGN, "0 signatures", lambda one: canonical(envelope(one) | {"signatures": []})),
    "signature of the other dialect": Attack(SIGN, "method", of_another_dialect),
    "under threshold": Attack(SIGN, "signed by 1", lambda one: signed_by(one, *one.publisher.keys[:1])),
    "duplicate signatures": Attack(
        SIGN, "two signatures", lambda one: signed_by(one, *one.publisher.keys[:1] * 2)
    ),
    "same key under two ids": Attack(SIGN, "signed by 1", under_two_ids),
    "path outside": Attack(BOUNDS, "outside its paths", lambda one: listing(one, target("own-1"))),
    "too many packages": Attack(BOUNDS, "20001 packages", many),
    "nine MiB": Attack(FETCH, "more than 8388608 bytes", lambda _: b" " * 9 * MIB),
    "nine MiB without saying so": Attack(FETCH, "more than 8388608", lambda _: lambda: [b" " * MIB] * 9),
    "depth of 65": Attack(READ, "deep", nested_deeply),
    "masses of tiny values": Attack(READ, "too many|more than", filled(b"[],")),
    "masses of texts": Attack(READ, "too many|more than", filled(b'"",')),
    "duplicate members": Attack(READ, "twice", named_twice),
    "NaN": Attack(READ, "NaN", lambda one: listing(one).replace(b'"length":', b'"length":NaN,"x":')),
    "byte order mark": Attack(READ, "not JSON|mark", lambda one: b"\xef\xbb\xbf" + listing(one)),
    "gzip bomb": Attack(
        FETCH, "compressed", lambda _: gzip.compress(b" " * 64 * MIB), {"Content-Encoding": "gzip"}
    ),
    "endless stream": Attack(FETCH, "more than 8388608", lambda _: endless),
    "redirect inside": redirect("http://169.254.169.254/latest/meta-data/"),
    "redirect inside that is followed": followed("http://169.254.169.254/latest/meta-data/"),
    "redirect inside by IPv6": followed("http://[fd00:ec2::254]/latest/meta-data/"),
    "redirect inside in disguise": followed("http://[64:ff9b::a9fe:a9fe]/latest/meta-data/"),
    "DNS rebinding": rebound("169.254.169.254"),
    "DNS rebinding in disguise": rebound("::ffff:169.254.169.254"),
    "nested delegation": Attack(BOUNDS, "further", nested(keys={}, roles=[NESTED_ROLE])),
    "nested hash bins": Attack(BOUNDS, "further", nested(keys={}, succinct_roles=SUCCINCT)),
    "huge version": Attack(READ, "has version", partial(listing, version=2**31 - 1)),
    "truncated": Attack(READ, "not JSON", lambda one: listing(one)[:-20]),
    "broken off": Attack(
        FETCH, "broke off", lambda one: lambda: [listing(one)[:-20]], {"Content-Length": "4000"}
    ),
}
SLOW = Attack(FETCH, "within 30 s", lambda _: dripping)
