"""A device that follows an Uptane image repository: the same requests in the same order, the same refusals.

Written from the measured behaviour of the device client alone; it shares no line with any server.
`strict` adds what a server owes beyond what a device checks: canonical bytes, sha256 and exact lengths,
versions that never fall even where the device would not notice, files small enough for every kind of client.
"""

import re
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from judges.uptane_download import download
from judges.uptane_errors import (
    Expired,
    FetchFailed,
    Malformed,
    NotMatching,
    Refused,
    Rollback,
    TooLarge,
    WrongVersion,
)
from judges.uptane_fnmatch import matches
from judges.uptane_keys import read_keys, trust_of
from judges.uptane_roles import (
    RESERVED,
    Role,
    check_hashes,
    check_root_for_server,
    known_hashes,
    meta_line,
    read_role,
    root_trust,
)
from judges.uptane_targets import read_targets
from judges.uptane_transport import Fetch, HttpFetch, Response

SMALL, LARGE = 64 * 1024, 8 * 1024 * 1024  # root, timestamp, snapshot without length; targets and delegations
STRICT_LIMITS = {"timestamp": 16_384, "targets": 5_000_000}  # TUF 1.0 clients read no more
DELEGATION_NAME = re.compile(r"[A-Za-z0-9._-]+")  # goes into the URL unescaped
MAX_ROOT, MAX_DEPTH, ATTEMPTS = 1000, 5, 3


def utc_now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


@dataclass(frozen=True)
class Target:
    name: str
    length: int
    hashes: dict[str, str]
    custom: dict[str, Any]
    role: str

    @property
    def sha256(self) -> str:
        return self.hashes["sha256"].lower()


@dataclass
class UptaneDevice:
    base_url: str
    hardware_id: str
    fetch: Fetch = field(default_factory=HttpFetch)
    now: Callable[[], str] = utc_now
    strict: bool = False
    pause: float = 0.0  # between attempts after a server error; a real device waits 1 s
    roots: list[Role] = field(default_factory=list)
    timestamp: Role | None = None
    snapshot: Role | None = None
    targets: Role | None = None
    delegated: dict[str, Role] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def refresh(self) -> None:
        """One cycle; raises UptaneError and keeps what was good so far."""
        self._refresh_root()
        self._refresh_timestamp()
        self._refresh_snapshot()
        self._refresh_targets()

    def find(self, name: str) -> Target:
        if self.targets is None:
            raise NotMatching("no targets yet: refresh first")
        for role in self._search(self.targets, name, 0):
            entry = role.signed.get("targets", {}).get(name)
            if entry is not None and self.hardware_id in _custom(entry).get("hardwareIds", []):
                return _target(name, entry, role)
        raise NotMatching(f"no target {name!r} for hardware {self.hardware_id!r}")

    def download(self, name: str, have: bytes = b"") -> bytes:
        """`have`: what an earlier, broken transfer left."""
        target = self.find(name)
        return download(self._counted, self._url_of(target), target.length, target.hashes, have)

    # Roots: 1.root.json once, then N+1 until a failure.

    def _refresh_root(self) -> None:
        if not self.roots:
            self._accept_root(self._metadata("1.root.json", SMALL), None)
        while self.roots[-1].version < MAX_ROOT:
            answer = self._ask(f"{self.roots[-1].version + 1}.root.json", SMALL)
            if answer.status in (403, 404) or answer.status >= 500:
                break
            self._accept_root(self._body(answer, "next root"), self.roots[-1])
            self.timestamp = self.snapshot = self.targets = None
            self.delegated.clear()
        self.roots[-1].check_fresh(self.now())

    def _accept_root(self, raw: bytes, previous: Role | None) -> None:
        number = previous.version + 1 if previous else 1
        what = f"{number}.root.json"
        root = read_role(raw, what, "Root", None, strict=self.strict)
        if previous:
            read_role(raw, what, "Root", root_trust(previous.signed, "root"), strict=self.strict)
        if root.version != number:
            raise WrongVersion(f"{what} has version {root.version}")
        for role in ("timestamp", "snapshot", "targets"):
            root_trust(root.signed, role)
        if self.strict:
            check_root_for_server(root.signed)
        self.roots.append(root)

    def _refresh_timestamp(self) -> None:
        raw = self._metadata("timestamp.json", SMALL)
        found = self._read_top(raw, "timestamp")
        stored = self.timestamp
        if stored and found.version < stored.version:
            raise Rollback(f"timestamp {found.version} after {stored.version}")
        if self.strict and stored and found.version == stored.version and found.canonical != stored.canonical:
            raise Rollback(f"timestamp {found.version} twice with different bytes")
        self.timestamp = found
        found.check_fresh(self.now())

    def _refresh_snapshot(self) -> None:
        line = meta_line(self.timestamp, "snapshot")
        length, hashes = line.get("length"), line.get("hashes")
        if type(length) is not int:
            raise Malformed("timestamp: no length for snapshot.json")
        if not known_hashes(hashes, "timestamp"):
            raise Malformed("timestamp: neither sha256 nor sha512 of snapshot.json")
        stored = self.snapshot
        if not (stored and stored.version == line["version"] and _hashes_match(stored, hashes)):
            raw = self._metadata("snapshot.json", length if length > 0 else SMALL)
            found = self._read_top(raw, "snapshot")
            self._check_promise(found, raw, line, hashes_required=True)
            self._check_not_older(found, stored)
            self.snapshot = found
        self.snapshot.check_fresh(self.now())

    def _refresh_targets(self) -> None:
        line = meta_line(self.snapshot, "targets")
        stored = self.targets
        if not (stored and stored.version == line["version"] and _hashes_match(stored, line.get("hashes"))):
            raw = self._metadata("targets.json", LARGE)
            found = self._read_top(raw, "targets")
            self._check_promise(found, raw, line, hashes_required=self.strict)
            self._check_not_older(found, stored, noticed="hashes" not in line)
            read_targets(found.signed, found.what)
            _check_delegations(found)
            self.targets = found
        self.targets.check_fresh(self.now())

    # Delegations: depth first, matching roles only, five levels.

    def _search(self, role: Role, name: str, depth: int) -> Iterator[Role]:
        yield role
        delegations = role.signed.get("delegations") or {}
        if depth == MAX_DEPTH or not delegations.get("roles"):
            return
        keys = read_keys(delegations.get("keys"), f"{role.what}: delegations")
        for entry in delegations["roles"]:
            if not any(matches(pattern, name) for pattern in entry.get("paths", [])):
                continue
            trust = trust_of(entry, keys, f"{role.what}: delegation {entry['name']}")
            try:
                child = self._delegation(entry["name"], trust)
            except Expired:
                continue
            # `terminating` only stops below that role: later siblings are still searched.
            yield from self._search(child, name, MAX_DEPTH if entry.get("terminating") else depth + 1)

    def _delegation(self, name: str, trust: Any) -> Role:
        line = meta_line(self.snapshot, name)
        stored = self.delegated.get(name)
        if stored and stored.version == line["version"]:
            # Never fetched again: other bytes under the same version fail every cycle from now on.
            check_hashes(stored.canonical, line.get("hashes"), stored.what, required=False)
        else:
            raw = self._metadata(f"delegations/{name}.json", LARGE)
            found = read_role(raw, f"delegations/{name}.json", "Targets", trust, strict=self.strict)
            # Own shelves may be listed by version alone: no two files of the targets key share a version.
            owed = self.strict and not name.startswith("p-")
            self._check_promise(found, raw, line, hashes_required=owed)
            self._check_not_older(found, stored, noticed=True)
            read_targets(found.signed, found.what)
            _check_delegations(found)
            self.delegated[name] = stored = found
        stored.check_fresh(self.now())
        return stored

    # What parents promise, and what was seen before.

    def _read_top(self, raw: bytes, role: str) -> Role:
        if self.strict and len(raw) > STRICT_LIMITS.get(role, LARGE):
            raise TooLarge(f"{role}.json: {len(raw)} bytes are too many for TUF 1.0 clients")
        trust = root_trust(self.roots[-1].signed, role)
        return read_role(raw, f"{role}.json", role.capitalize(), trust, strict=self.strict)

    def _check_promise(self, found: Role, raw: bytes, line: dict[str, Any], *, hashes_required: bool) -> None:
        check_hashes(found.canonical, line.get("hashes"), found.what, required=hashes_required)
        if found.version != line["version"]:
            raise WrongVersion(f"{found.what} has version {found.version}, promised was {line['version']}")
        if not (self.strict and hashes_required):
            return
        if line.get("length") != len(raw) or "sha256" not in line["hashes"]:
            raise Malformed(f"{found.what}: its parent gives not both sha256 and the exact length")

    def _check_not_older(self, found: Role, stored: Role | None, *, noticed: bool = False) -> None:
        if (self.strict or noticed) and stored and found.version < stored.version:
            raise Rollback(f"{found.what}: version {found.version} after {stored.version}")

    # Requests.

    def _metadata(self, path: str, limit: int) -> bytes:
        return self._body(self._ask(path, limit), path)

    def _body(self, answer: Response, what: str) -> bytes:
        if answer.status != 200 or answer.broken:
            raise FetchFailed(f"{what}: status {answer.status}, broken: {answer.broken}")
        return answer.body

    def _ask(self, path: str, limit: int) -> Response:
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(self.pause)
            answer = self._counted(f"{self.base_url}/{path}", {}, limit)
            if answer.status < 500 and not answer.broken:
                break
        return answer

    def _counted(self, url: str, headers: dict[str, str], limit: int) -> Response:
        self.requests.append(url.removeprefix(self.base_url + "/"))
        return self.fetch(url, headers, limit)

    def _url_of(self, target: Target) -> str:
        uri = target.custom.get("uri")
        if uri and uri != "https://example.com/":
            return uri
        return f"{self.base_url}/targets/{urllib.parse.quote(target.name, safe='-._~/')}"


def _hashes_match(stored: Role, hashes: Any) -> bool:
    try:
        check_hashes(stored.canonical, hashes, stored.what, required=False)
    except Refused:
        return False
    return True


def _check_delegations(role: Role) -> None:
    delegations = role.signed.get("delegations") or {}
    read_keys(delegations.get("keys", {}), f"{role.what}: delegations")
    for entry in delegations.get("roles", []):
        if entry.get("name") in RESERVED or not DELEGATION_NAME.fullmatch(str(entry.get("name"))):
            raise Malformed(f"{role.what}: a delegation may not be named {entry.get('name')!r}")


def _custom(entry: dict[str, Any]) -> dict[str, Any]:
    custom = entry.get("custom")
    return custom if isinstance(custom, dict) else {}


def _target(name: str, entry: dict[str, Any], role: Role) -> Target:
    length, hashes = entry.get("length"), entry.get("hashes")
    if type(length) is not int or length < 0 or not isinstance(hashes, dict):
        raise Malformed(f"{role.what}: target {name!r} without length or hashes")
    return Target(name, length, hashes, _custom(entry), role.what)
