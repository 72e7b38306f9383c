"""Re-checks everything the repository promises; the same after a crash, a restore or years.

The invariants carry their names from the reliability plan: I1 every package is downloadable with its
hash and length, I2 one byte string per (role, version), I3 versions never fall, I4 the chain verifies in
both dialects, I5 rows, signed targets and blobs agree, I9 nothing is there by half.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from otarium.domain.delegation import accept
from otarium.domain.errors import Broken, SourceRefused
from otarium.domain.feed import FEED, delegates
from otarium.domain.names import PackageId, Sha256
from otarium.domain.packages import Entry, Package, timestamp
from otarium.domain.release import Release
from otarium.domain.roles import TARGETS, Dialect, RoleFile, listed_versions
from otarium.domain.shelves import pattern_of, size_of
from otarium.domain.sources import Source
from otarium.domain.verification import Trust, Untrusted, Verified, verify_file, verify_listed, verify_roots
from otarium.services.metadata import load_release
from otarium.services.ports import Catalog, Clock, Transaction
from otarium.services.ports_blobs import BlobStore
from otarium.services.ports_sources import StoredFile

READ_BYTES = 1024 * 1024
ORPHAN_SECONDS = 12 * 3600
"""Twice the time between two sweeps of blobs without a row."""


@dataclass(slots=True)
class Report:
    """What was checked and what is broken; `warnings` are things that work but surprise."""

    packages: int = 0
    bytes: int = 0
    role_files: int = 0
    release: int = 0
    broken: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class _Bytes(NamedTuple):
    """What a package's bytes must be; small, since there may be a million."""

    id: PackageId
    sha256: Sha256
    length: int


class Verification:
    """One run. `progress` is called with the number of bytes read."""

    def __init__(
        self,
        catalog: Catalog,
        blobs: BlobStore,
        clock: Clock,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._clock = clock
        self._progress = progress
        self._report = Report()
        self._trusted: dict[Dialect, Trust] = {}
        """Who signs shelves."""

    def run(self) -> Report:
        with self._catalog.read() as tx:
            self._check_role_files(tx)
            try:
                release = load_release(tx, None)
            except (Broken, KeyError, ValueError) as error:
                release = None
                self._report.broken.append(f"I4 the newest release cannot be loaded: {error}")
            if release is not None:
                self._report.release = release.number
                self._check_chains(tx, release)
                self._check_sources(tx, release)
                self._check_shelves(tx, release)
                self._check_feed(tx, release)
            rows = self._check_rows(tx)
            self._check_searching(tx)
            known = {row.sha256: row for row in tx.blobs.every()}
        self._check_blobs(rows, frozenset(sha for sha, row in known.items() if not row.dying))
        for sha256 in self._blobs.orphans(frozenset(known), self._clock.now() - ORPHAN_SECONDS):
            self._report.warnings.append(
                f"the blob {sha256} belongs to no package; a running server removes it"
            )
        return self._report

    def _check_role_files(self, tx: Transaction) -> None:
        """I2, I3: records agree with bytes, no version of the targets key twice, none above its counter."""
        counters = tx.roles.counters()
        highest = {"root": counters.root, "snapshot": counters.snapshot, "timestamp": counters.timestamp}
        taken: dict[int, str] = {}
        for role, version, file in tx.roles.records():
            self._report.role_files += 1
            if version > highest.get(role, counters.targets):
                self._report.broken.append(f"I3 {role} has version {version}, above its counter")
            if role not in highest and taken.setdefault(version, role) != role:
                self._report.broken.append(f"I3 {role} and {taken[version]} share version {version}")
            if file is not None:
                self._check_record(file)

    def _check_record(self, file: RoleFile) -> None:
        for signed in (file.uptane, file.tuf):
            if (signed.length, signed.sha256) != (len(signed.raw), hashlib.sha256(signed.raw).hexdigest()):
                self._report.broken.append(f"I2 the bytes of {file.role} version {file.version} changed")

    def _check_chains(self, tx: Transaction, release: Release) -> None:
        roots = {file.version: file for file in tx.roles.roots()}
        for dialect in Dialect:
            try:
                raws = {version: file.in_dialect(dialect).raw for version, file in roots.items()}
                trust = verify_roots(raws, dialect, None)
                self._check_chain(trust, release, dialect)
            except Untrusted as error:
                self._report.broken.append(f"I4 /{dialect}: {error}")
            else:
                self._check_keys(tx, trust)
        for file in release.files():
            if file.expires <= self._clock.now():
                self._report.warnings.append(_expired(file))

    def _check_keys(self, tx: Transaction, trust: Mapping[str, Trust]) -> None:
        """Without these nothing could be signed again."""
        held = {key.key_id for key in tx.keys.every()}
        for role, trusted in trust.items():
            if not held & set(trusted.keys):
                self._report.broken.append(f"I4 the private {role} key is not in the catalog")

    def _check_chain(self, trust: Mapping[str, Trust], release: Release, dialect: Dialect) -> None:
        def check(file: RoleFile, role: str, listing: Verified | None) -> Verified:
            raw = file.in_dialect(dialect).raw
            if listing is not None:
                verify_listed(raw, f"{file.role}.json", listing)
            verified = verify_file(raw, file.role, dialect, trust[role], None)
            if verified.version != file.version:
                raise Untrusted(f"{file.role} is stored as version {file.version}, says {verified.version}")
            return verified

        snapshot = check(release.snapshot, "snapshot", check(release.timestamp, "timestamp", None))
        check(release.targets, TARGETS, snapshot)
        self._trusted[dialect] = trust[TARGETS]

    def _check_shelves(self, tx: Transaction, release: Release) -> None:
        """I4, I5: every page is there, signed, delegated to, and says what the rows say."""
        names = {page.role: page.names for page in tx.shelves.named()}
        delegated = [_delegated(release, dialect) for dialect in Dialect]
        for role, version in {TARGETS: release.targets.version, **release.shelves}.items():
            file = tx.roles.file(role, version)
            if file is None:
                self._report.broken.append(
                    f"I4 {role} version {version} is listed, but its bytes are missing"
                )
                continue
            page, entries = tx.shelves.get(role), tx.shelves.entries(role)
            if (page.targets, page.bytes) != (len(entries), sum(map(size_of, entries))):
                self._report.broken.append(f"I5 {role} holds {len(entries)} packages, not {page.targets}")
            stated = [one[role] for one in delegated if role in one]
            patterns = [pattern_of(name) for name in names.get(role, ())]
            # Nobody is sent to empty pages but the newest, and in a flat layout to none.
            if role != TARGETS and (stated or entries) and stated != [patterns] * len(delegated):
                self._report.broken.append(f"I4 targets.json does not delegate to {role} as it should")
            self._check_page(file, entries)
            if stated and file.expires <= self._clock.now():
                self._report.warnings.append(_expired(file))

    def _check_feed(self, tx: Transaction, release: Release) -> None:
        """I4, I5: all packages in one file that delegates to nothing. It may be a moment behind."""
        newest = tx.roles.newest(FEED)
        if newest is None or not delegates(release.targets):
            return
        file = tx.roles.file(FEED, newest[0])
        if file is None or delegates(file):
            self._report.broken.append(f"I4 the feed, version {newest[0]}, is missing or delegates")
        else:
            is_newest = file.version == release.counters.targets
            self._check_page(file, tx.shelves.every() if is_newest else None)

    def _check_page(self, file: RoleFile, entries: Sequence[Entry] | None) -> None:
        """`entries` is None where the file may list others."""
        for dialect, trust in self._trusted.items():
            raw = file.in_dialect(dialect).raw
            try:
                verified = verify_file(raw, file.role, dialect, trust, None)
                if verified.version != file.version:
                    raise Untrusted(f"{file.role} version {file.version} says {verified.version}")
            except Untrusted as error:
                self._report.broken.append(f"I4 /{dialect}: {error}")
            if entries is None:
                continue
            forms = [entry.uptane if dialect is Dialect.UPTANE else entry.tuf for entry in entries]
            if b'"targets":{' + b",".join(forms) + b"}" not in raw:
                self._report.broken.append(
                    f"I5 /{dialect} {file.role}.json does not list what the catalog lists"
                )

    def _check_sources(self, tx: Transaction, release: Release) -> None:
        """I2, I4: files of other publishers are whole, signed, and listed as they are."""
        for source in tx.sources.every():
            for dialect, file in source.files.items():
                place = f"/{dialect} {source.name} version {file.version}"
                stored = tx.sources.file(source.name, dialect, file.version)
                if stored is None or hashlib.sha256(stored.signed.raw).hexdigest() != file.sha256:
                    self._report.broken.append(f"I2 the bytes of {place} are missing or changed")
                elif listed_versions(release.snapshot, dialect).get(source.name) != file.version:
                    self._report.broken.append(f"I4 the snapshot does not list {place}")
                elif source.live(dialect) is not None and not file.vouched:
                    self._check_source_file(source, stored, place)

    def _check_source_file(self, source: Source, stored: StoredFile, place: str) -> None:
        try:
            accept(stored.signed.raw, source.delegation, {}, 0, stored.modified_at)
        except SourceRefused as refusal:
            self._report.broken.append(f"I4 {place}: {refusal}")

    def _check_rows(self, tx: Transaction) -> list[_Bytes]:
        """I5: what is kept for signing is exactly what the rows say."""
        rows = []
        for package, stored in self._readable(tx):
            self._report.packages += 1
            if package.entry() != stored:
                self._report.broken.append(f"I5 {package.id}: its row and its signed entry differ")
            if not package.hardware_ids:
                self._report.warnings.append(f"{package.id} has no hardware id: no device would install it")
            if package.content.location is None:
                rows.append(_Bytes(package.id, package.content.sha256, package.content.length))
        return rows

    def _check_searching(self, tx: Transaction) -> None:
        """I5: lists and searches, which read something else than rows, show what the rows say."""
        try:
            for difference in tx.searching.differences():
                self._report.broken.append(f"I5 {difference}; `otarium reindex` mends it")
        except (ValueError, KeyError, TypeError) as error:
            self._report.broken.append(f"I5 a row cannot be read: {error}")

    def _readable(self, tx: Transaction) -> Iterator[tuple[Package, Entry]]:
        try:
            yield from tx.packages.every()
        except (ValueError, KeyError, TypeError) as error:
            self._report.broken.append(f"I5 a row cannot be read: {error}")

    def _check_blobs(self, rows: list[_Bytes], live: frozenset[Sha256]) -> None:
        """I1, I9: the bytes of every package, whole."""
        for row in rows:
            if row.sha256 not in live:
                self._report.broken.append(f"I5 {row.id}: its blob has no live row")
            problem = self._check_blob(row)
            if problem:
                self._report.broken.append(f"{problem}: {row.id} ({row.sha256})")

    def _check_blob(self, row: _Bytes) -> str | None:
        blob = self._blobs.open(row.sha256)
        if blob is None:
            return "I1 the bytes are missing"
        digest, length = hashlib.sha256(), 0
        with blob:
            while data := blob.read_at(length, READ_BYTES):
                digest.update(data)
                length += len(data)
                self._progress(len(data))
        self._report.bytes += length
        if length != row.length:
            return f"I9 {length} of {row.length} bytes are there"
        return None if digest.hexdigest() == row.sha256 else "I1 the bytes changed"


def rebuild_search(catalog: Catalog, clock: Clock) -> None:
    """Make anew, from the rows of packages, what lists and searches read."""
    with catalog.write() as tx:
        tx.searching.rebuild()
        tx.journal.record(clock.now(), "otarium", "reindex", "packages")


def _delegated(release: Release, dialect: Dialect) -> dict[str, list[str]]:
    """The roles that targets.json sends devices to, each with its path patterns."""
    signed = json.loads(release.targets.in_dialect(dialect).raw)["signed"]
    return {one["name"]: one["paths"] for one in signed.get("delegations", {}).get("roles", [])}


def _expired(file: RoleFile) -> str:
    return f"{file.role} expired at {timestamp(file.expires)}; a running server renews it"
