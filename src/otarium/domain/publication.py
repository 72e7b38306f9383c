"""A list of packages as its publisher makes it: signed in both dialects, with the bundle that others import.

This is the other side of `delegation.accept`, and every file made here goes through it before it leaves: what
a repository would refuse is refused here, while the publisher can still do something about it.

An ECDSA key ends the Uptane dialect for the whole list, since aktualizr refuses a file that names such a key.
"""

import base64
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from otarium.domain import canonical
from otarium.domain.delegation import MEMBERS, accept
from otarium.domain.errors import Invalid
from otarium.domain.external import external_package
from otarium.domain.names import HardwareId, PackageId, PackageName, PackageVersion, Sha256, SourceName
from otarium.domain.packages import Content, Package, TargetFormat, parse_meta, parse_uri, timestamp
from otarium.domain.publishers import PublisherKey
from otarium.domain.roles import SPEC_VERSION, Dialect
from otarium.domain.sources import Fetching, parse_delegation

_TYPES = {Dialect.UPTANE: "Targets", Dialect.TUF: "targets"}
_METHODS = {"ed25519": "ed25519", "rsa": "rsassa-pss-sha256"}
_REQUIRED = ("name", "version", "hardwareIds", "sha256", "length")
_MEMBERS = frozenset({*_REQUIRED, "targetFormat", "uri", "createdAt", "proprietaryMeta"})
_SHOWN = 5
"""How many wrong packages an error spells out."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs here, or asks something that keeps the private part to sign. Raises Refusal."""

    key: PublisherKey
    sign: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Edition:
    """One version of a list. There is no Uptane file where a key cannot sign one."""

    version: int
    expires: int
    uptane: bytes | None
    tuf: bytes


@dataclass(frozen=True, slots=True)
class Earlier:
    """What was published last: the new list goes on from there."""

    version: int = 0
    packages: Mapping[PackageId, Package] = field(default_factory=dict)


def earlier(raw: bytes, name: SourceName, dialect: Dialect, what: str) -> Earlier:
    """Reads a list that was published before. Raises Invalid for anything else."""
    document = canonical.parse(raw, what, max_members=MEMBERS)
    signed = document.get("signed") if isinstance(document, dict) else None
    signed = signed if isinstance(signed, dict) and signed.get("_type") == _TYPES[dialect] else {}
    version, targets = signed.get("version"), signed.get("targets")
    if type(version) is not int or version < 1 or not isinstance(targets, dict):
        raise Invalid(f"{what} is not the list of last time; move it away, or write to another folder.")
    packages = {}
    for target, stated in targets.items():
        if isinstance(stated, dict) and isinstance(stated.get("hashes"), dict) and "length" in stated:
            package = external_package(name, target, stated, 0)
            if isinstance(package, Package):
                packages[package.id] = package
    return Earlier(version, packages)


def next_version(asked: int | None, before: int) -> int:
    """Raises Invalid for a version that would not rise: devices refuse it as a rollback."""
    if asked is None:
        return before + 1
    if asked <= before:
        raise Invalid(
            f"Version {asked} is not above {before}, which was published already and which devices would "
            f"keep; leave the version out for {before + 1}."
        )
    return asked


def parse_packages(stated: object, before: Earlier, now: int) -> list[Package]:
    """A list that was read strictly. Dates that are not stated go on from before. Raises Invalid."""
    if not isinstance(stated, list):
        raise Invalid("The packages must be a JSON list of objects, each with " + ", ".join(_REQUIRED) + ".")
    packages, wrong = [], []
    for number, one in enumerate(stated, 1):
        try:
            packages.append(_package(one, before, now))
        except Invalid as refusal:
            wrong.append(f"Package {number}{_called(one)}: {refusal.message}")
    listed = Counter(package.id for package in packages)
    wrong += [f"{id_} is listed {times} times; list it once." for id_, times in listed.items() if times > 1]
    _refuse_wrong(wrong, len(stated))
    return packages


def _refuse_wrong(wrong: Sequence[str], count: int) -> None:
    if wrong:
        more = "" if len(wrong) <= _SHOWN else f" And {len(wrong) - _SHOWN} more."
        told = " ".join(wrong[:_SHOWN])
        raise Invalid(f"{len(wrong)} of {count} packages cannot be published. {told}{more}")


def _called(stated: object) -> str:
    name, version = (stated.get("name"), stated.get("version")) if isinstance(stated, dict) else (None, None)
    return f" ({name[:80]!a} {version[:40]!a})" if isinstance(name, str) and isinstance(version, str) else ""


def _package(stated: object, before: Earlier, now: int) -> Package:
    if not isinstance(stated, dict):
        raise Invalid("it is not an object.")
    if unknown := sorted(stated.keys() - _MEMBERS):
        raise Invalid(f"{unknown[0][:40]!a} is no member of a package; use {', '.join(sorted(_MEMBERS))}.")
    name, version = PackageName.parse(_text(stated, "name")), PackageVersion.parse(_text(stated, "version"))
    package_id, content = PackageId.of(name, version), _content(stated)
    last = before.packages.get(package_id)
    created = _created(stated.get("createdAt"), last.created_at if last else now)
    package = Package(
        id=package_id,
        name=name,
        version=version,
        content=content,
        hardware_ids=_hardware_ids(stated),
        uri=content.location,
        comment=None,
        meta=parse_meta(stated.get("proprietaryMeta")),
        created_at=created,
        updated_at=created,
        revision=0,
    )
    return package if last is None else _succeeding(package, last, now)


def _succeeding(package: Package, last: Package, now: int) -> Package:
    """`updatedAt` moves when something else does, and content never: a device keeps what it has."""
    content, kept = package.content, last.content
    if (content.sha256, content.length) != (kept.sha256, kept.length):
        raise Invalid(
            f"it was published before with other content (sha256 {kept.sha256}, {kept.length} bytes), and "
            "devices refuse the change; give it a new version."
        )
    same = replace(package, updated_at=last.updated_at)
    return same if same.entry() == last.entry() else replace(package, updated_at=now)


def _content(stated: Mapping[str, Any]) -> Content:
    kind = TargetFormat.parse(_text(stated, "targetFormat") if "targetFormat" in stated else "BINARY")
    sha256, length = Sha256.parse(_text(stated, "sha256")), stated.get("length")
    if type(length) is not int or not 0 <= length <= canonical.MAX_INTEGER:
        raise Invalid(f"length {length!a:.40} is not the number of bytes of the file.")
    if length == 0 and kind is not TargetFormat.OSTREE:
        raise Invalid("length 0 is for OSTREE packages only; give the length of the file in bytes.")
    uri = None if stated.get("uri") is None else parse_uri(_text(stated, "uri"))
    if uri is None and kind is not TargetFormat.OSTREE:
        raise Invalid("it has no uri; say where devices fetch it.")
    return Content(kind, sha256, length, frozenset(_hardware_ids(stated)), uri)


def _hardware_ids(stated: Mapping[str, Any]) -> tuple[HardwareId, ...]:
    ids = stated.get("hardwareIds")
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise Invalid(f"hardwareIds {ids!a:.60} is not a list of texts.")
    return HardwareId.parse_all(ids)


def _text(stated: Mapping[str, Any], member: str) -> str:
    value = stated.get(member)
    if not isinstance(value, str):
        raise Invalid(f"{member} is missing." if value is None else f"{member} {value!a:.60} is not a text.")
    return value


def _created(stated: object, otherwise: int) -> int:
    if stated is None:
        return otherwise
    try:
        moment = datetime.fromisoformat(str(stated)[:40])
        seconds = int(moment.timestamp()) if moment.tzinfo else -1
    except (ValueError, OverflowError):
        seconds = -1
    if seconds < 0:
        raise Invalid(f"createdAt {stated!a:.60} is not a time; write it as 2026-01-31T12:00:00Z.")
    return seconds


def derived_paths(packages: Sequence[Package]) -> list[str]:
    """One pattern for each name, in which no character of the name is a wildcard."""
    names = sorted({package.name for package in packages})
    return ["".join(f"[{char}]" if char in "*?[" else char for char in name) + "-*" for name in names]


def bundle(
    name: SourceName, keys: Sequence[PublisherKey], threshold: int, paths: Sequence[str], fetching: Fetching
) -> dict[str, Any]:
    """`tuf_uri` is where the TUF list will be, `uri` where the Uptane list will be, if there is one."""
    twice = [key_id for key_id, times in Counter(key.key_id for key in keys).items() if times > 1]
    if twice:
        raise Invalid(f"The key {twice[0]} is given twice; it counts once, so give it once.")
    both = all(key.usable_in(Dialect.UPTANE) for key in keys)
    metadata = {
        "name": str(name),
        "keyids": [key.key_id for key in keys],
        "paths": list(paths),
        "threshold": threshold,
        "terminating": False,
    }
    where = (
        {"fetchUrl": fetching.uri, "tufFetchUrl": fetching.tuf_uri}
        if both
        else {"fetchUrl": fetching.tuf_uri}
    )
    stated = [key.to_object() for key in keys]
    parse_delegation(stated, metadata)
    return {"keys": stated, "delegationMetadata": metadata, **where, "friendlyName": fetching.friendly_name}


def publish(
    bundled: Mapping[str, Any],
    signers: Sequence[SigningKey],
    packages: Sequence[Package],
    version: int,
    expires: int,
    now: int,
) -> Edition:
    """Every signer signs, also where the threshold asks for fewer. Raises Refusal."""
    delegation = parse_delegation(bundled["keys"], bundled["delegationMetadata"])
    outside = [str(package.id) for package in packages if not delegation.covers(package.id)]
    if outside:
        raise Invalid(
            f"{len(outside)} of {len(packages)} packages are outside the paths {list(delegation.paths)}: "
            f"{', '.join(outside[:_SHOWN])}. Widen the paths, or leave these packages out."
        )
    both = all(signer.key.usable_in(Dialect.UPTANE) for signer in signers)
    entries = b",".join(package.entry().tuf for package in sorted(packages, key=lambda one: one.id))
    common = {"expires": timestamp(expires), "version": version, "targets": json.loads(b"{" + entries + b"}")}
    made = Edition(version, expires, _uptane(common, signers) if both else None, _tuf(common, signers))
    for raw in (made.uptane, made.tuf):
        if raw is not None:
            accept(raw, delegation, {}, now, now)
    return made


def _uptane(common: Mapping[str, Any], signers: Sequence[SigningKey]) -> bytes:
    signed = {**common, "_type": _TYPES[Dialect.UPTANE]}
    payload = canonical.uptane(signed)
    signatures = [
        {
            "keyid": signer.key.key_id,
            "method": _METHODS[signer.key.kind],
            "sig": base64.b64encode(_signature(signer, payload)).decode(),
        }
        for signer in signers
    ]
    return canonical.uptane({"signatures": signatures, "signed": signed})


def _tuf(common: Mapping[str, Any], signers: Sequence[SigningKey]) -> bytes:
    signed = {**common, "_type": _TYPES[Dialect.TUF], "spec_version": SPEC_VERSION}
    payload = canonical.olpc(signed)
    signatures = [
        {"keyid": signer.key.key_id, "sig": _signature(signer, payload).hex()} for signer in signers
    ]
    return canonical.tuf({"signatures": signatures, "signed": signed})


def _signature(signer: SigningKey, payload: bytes) -> bytes:
    """Checked at once: what keeps the private part may keep another one than was said."""
    signature = signer.sign(payload)
    if not signer.key.verifies(signature, payload):
        raise Invalid(
            f"What was signed for the key {signer.key.key_id} does not verify with its public part; give the "
            "public key that belongs to the private one."
        )
    return signature
