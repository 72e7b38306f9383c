"""Re-checks everything the repository promises; the same after a crash, a restore or years.

The invariants carry their names from the reliability plan: I1 every package is downloadable with its
hash and length, I2 one byte string per (role, version), I3 versions never fall, I4 the chain verifies in
both dialects, I5 rows, signed targets and blobs agree, I9 nothing is there by half.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from otarium.domain.delegation import accept
from otarium.domain.errors import Broken, SourceRefused
from otarium.domain.names import Sha256
from otarium.domain.packages import Entry, Package, timestamp
from otarium.domain.release import Release
from otarium.domain.roles import TARGETS, Dialect, RoleFile, listed_versions
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
            rows = self._check_rows(tx, release)
            known = {row.sha256: row for row in tx.blobs.every()}
        self._check_blobs(rows, frozenset(sha for sha, row in known.items() if not row.dying))
        for sha256 in self._blobs.orphans(frozenset(known), self._clock.now() - ORPHAN_SECONDS):
            self._report.warnings.append(
                f"the blob {sha256} belongs to no package; the next sweep removes it"
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
                problem = f"{file.role} expired at {timestamp(file.expires)}; a running server renews it"
                self._report.warnings.append(problem)

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
        for shelf in release.shelves.values():
            check(shelf, TARGETS, snapshot)

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

    def _check_rows(self, tx: Transaction, release: Release | None) -> list[Package]:
        """I5: what is signed is exactly what the rows say."""
        rows, entries = [], {dialect: list[bytes]() for dialect in Dialect}
        for package, stored in self._readable(tx):
            rows.append(package)
            if package.entry() != stored:
                self._report.broken.append(f"I5 {package.id}: its row and its signed entry differ")
            entries[Dialect.UPTANE].append(stored.uptane)
            entries[Dialect.TUF].append(stored.tuf)
        if release is None:
            return rows
        for dialect, expected in entries.items():
            raw = release.shelves[TARGETS].in_dialect(dialect).raw
            if b'"targets":{' + b",".join(expected) + b"}" not in raw:
                self._report.broken.append(f"I5 /{dialect}/targets.json does not list what the catalog lists")
        return rows

    def _readable(self, tx: Transaction) -> Iterator[tuple[Package, Entry]]:
        try:
            yield from tx.packages.every()
        except (ValueError, KeyError, TypeError) as error:
            self._report.broken.append(f"I5 a row cannot be read: {error}")

    def _check_blobs(self, rows: list[Package], live: frozenset[Sha256]) -> None:
        """I1, I9: the bytes of every package, whole."""
        for package in rows:
            self._report.packages += 1
            if not package.hardware_ids:
                self._report.warnings.append(f"{package.id} has no hardware id: no device would install it")
            if package.content.location is not None:
                continue
            if package.content.sha256 not in live:
                self._report.broken.append(f"I5 {package.id}: its blob has no live row")
            problem = self._check_blob(package)
            if problem:
                self._report.broken.append(f"{problem}: {package.id} ({package.content.sha256})")

    def _check_blob(self, package: Package) -> str | None:
        blob = self._blobs.open(package.content.sha256)
        if blob is None:
            return "I1 the bytes are missing"
        digest, length = hashlib.sha256(), 0
        with blob:
            while data := blob.read_at(length, READ_BYTES):
                digest.update(data)
                length += len(data)
                self._progress(len(data))
        self._report.bytes += length
        if length != package.content.length:
            return f"I9 {length} of {package.content.length} bytes are there"
        return None if digest.hexdigest() == package.content.sha256 else "I1 the bytes changed"
