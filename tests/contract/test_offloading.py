"""The copy for devices over a repository's life: shelves, deletions, roots, sweeps; and when it is made."""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from itertools import pairwise
from pathlib import Path

import pytest

from harness import PATIENCE
from otarium.domain.access import Actor, Scope
from otarium.domain.names import HardwareId, PackageId, PackageName, PackageVersion, Sha256
from otarium.domain.roles import Dialect
from otarium.domain.shelves import ShelfLimits
from otarium.services.metadata import Metadata
from otarium.services.offload import Offload
from otarium.services.offloading import DISTANCE_SECONDS, Offloading
from otarium.services.packages import Limits, Packages
from otarium.services.ports_blobs import OpenBlob
from otarium.services.publishing import Outcome
from otarium.services.source_files import SourceFiles
from otarium.services.status import Copy, look
from otarium.services.uploads import Upload, Uploads
from repository import Repository

ACTOR = Actor("test", frozenset(Scope))
GRACE = 3600
SMALL = {"OTARIUM_FIRST_SHELF_PACKAGES": "3", "OTARIUM_SHELF_PACKAGES": "2"}


class Died(Exception):
    pass


class MemoryTarget:
    """A place in memory. After `left` more changes of it, whoever makes them dies."""

    swaps = True

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.shown: dict[str, bytes] = {}
        self.left: int | None = None
        self.changes = 0
        self.asked: list[str] = []
        """The names of packages that somebody wanted here."""

    def _changed(self) -> None:
        self.changes += 1
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Died

    def held(self) -> AbstractContextManager[None]:
        return nullcontext()

    def read(self, name: str) -> bytes | None:
        return self.shown.get(name) or self.files.get(name)

    def put(self, name: str, raw: bytes, version: int) -> None:
        assert self.files.setdefault(name, raw) == raw
        self._changed()

    def put_blob(self, names: Sequence[str], sha256: Sha256, blob: OpenBlob) -> None:
        self.asked.append(names[-1])
        for name in names:
            self.files[name] = blob.read_at(0, blob.length)
            self._changed()

    def switch(self, number: int, plain: Mapping[str, str]) -> None:
        self.shown = {name: self.files[versioned] for name, versioned in plain.items()}
        self._changed()

    def names(self) -> Iterator[str]:
        yield from list(self.files)

    def delete(self, name: str) -> None:
        self.files.pop(name, None)
        self._changed()


class Rig:
    """A repository, and what offloads it."""

    def __init__(self, tmp_path: Path) -> None:
        self.repository = Repository(tmp_path)
        opened = self.repository.opened
        self.publisher, self.metadata = self.repository.worker()
        self.packages = Packages(opened.catalog, opened.blobs, self.publisher, opened.shelving(), Limits())
        self.uploads = Uploads(opened.catalog, opened.blobs, self.packages, Limits(), opened.sweep())

    def offload(self, target: MemoryTarget) -> Offload:
        """Of a process that just started."""
        metadata = self.repository.opened.publisher()[1]
        metadata.refresh()
        return self.offload_of(metadata, target)

    def offload_of(self, metadata: Metadata, target: MemoryTarget) -> Offload:
        opened = self.repository.opened
        files = SourceFiles(opened.catalog, metadata)
        return Offload(target, opened.catalog, metadata, files, opened.blobs, self.repository.clock, GRACE)

    def add(self, *ids: str) -> None:
        for package_id in ids:
            name, _, version = package_id.rpartition("-")
            body = f"the bytes of {package_id}".encode()
            told = Upload(PackageName(name), PackageVersion(version), (HardwareId("hw"),), len(body), None)
            staged = self.uploads.begin(ACTOR, told)
            staged.write(body)
            self.uploads.finish(ACTOR, told, staged).result(10)

    def delete(self, *ids: str) -> None:
        for package_id in ids:
            self.packages.delete(ACTOR, PackageId(package_id)).result(10)

    def sign(self, *roles: str) -> None:
        self.publisher.submit(lambda tx, now: Outcome(None, frozenset(roles))).result(10)

    def sweep(self, target: MemoryTarget) -> int:
        """How many names are gone."""
        offload = self.offload(target)
        offload.push()
        before = len(target.files)
        while offload.sweep():
            pass
        return before - len(target.files)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    for name, value in SMALL.items():
        monkeypatch.setenv(name, value)
    made = Rig(tmp_path)
    yield made
    made.repository.close()


def served(target: MemoryTarget) -> tuple[int, set[str]]:
    """The release and the packages that both kinds of clients find; fails when anything is missing or does
    not fit together."""
    if not target.shown:
        return 0, set()
    found = {dialect: _follow(target, dialect) for dialect in Dialect}
    assert found[Dialect.UPTANE] == found[Dialect.TUF]
    return found[Dialect.TUF]


def _follow(target: MemoryTarget, dialect: Dialect) -> tuple[int, set[str]]:
    def fetch(role: str, version: int) -> bytes:
        if dialect is Dialect.TUF:
            return target.files[f"tuf/{version}.{role}.json"]
        top_level = role in ("snapshot", "targets", "root")
        return target.shown[f"repo/{role}.json" if top_level else f"repo/delegations/{role}.json"]

    assert f"{dialect}/1.root.json" in target.files
    timestamp = json.loads(target.shown[f"{dialect}/timestamp.json"])["signed"]
    line = timestamp["meta"]["snapshot.json"]
    raw = fetch("snapshot", line["version"])
    assert hashlib.sha256(raw).hexdigest() == line["hashes"]["sha256"]
    ids = set()
    for name, one in json.loads(raw)["signed"]["meta"].items():
        role = json.loads(fetch(name.removesuffix(".json"), one["version"]))["signed"]
        assert role["version"] == one["version"]
        for package_id, entry in role["targets"].items():
            head, slash, base = package_id.rpartition("/")
            by_hash = f"tuf/targets/{head}{slash}{entry['hashes']['sha256']}.{base}"
            name = by_hash if dialect is Dialect.TUF else f"repo/targets/{package_id}"
            assert hashlib.sha256(target.files[name]).hexdigest() == entry["hashes"]["sha256"]
            ids.add(package_id)
    return timestamp["version"], ids


FIRST, LATER = ("app-1", "app-2", "os/image-1"), ("app-3", "app-4", "app-5", "new-1")


def test_after_every_single_step_devices_see_one_whole_release(rig: Rig) -> None:
    stages: list[tuple[Callable[[], None], set[str]]] = [
        (lambda: None, set()),
        (lambda: rig.add(*FIRST), set(FIRST)),
        (lambda: rig.add(*LATER), {*FIRST, *LATER}),
        (lambda: rig.delete("app-3", "new-1"), {*FIRST, "app-4", "app-5"}),
        (lambda: rig.add("app-3", "new-2"), {*FIRST, "app-3", "app-4", "app-5", "new-2"}),
        (lambda: rig.sign("root", "targets"), {*FIRST, "app-3", "app-4", "app-5", "new-2"}),
        (lambda: rig.sign("timestamp"), {*FIRST, "app-3", "app-4", "app-5", "new-2"}),
    ]
    target, deaths = MemoryTarget(), 0
    for change, expected in stages:
        before = served(target)
        change()
        number = rig.offload(MemoryTarget()).push()
        for after in range(1000):
            one = deepcopy(target)
            one.left = after
            try:
                rig.offload(one).push()
                break
            except Died:
                deaths += 1
            assert served(one) in (before, (number, expected))
            one.left = None
            assert rig.offload(one).push() == number
            assert served(one) == (number, expected)
        target = one
        target.left = None
        assert served(target) == (number, expected)
    assert deaths > 50


def test_a_sweep_that_dies_leaves_everything_that_is_served(rig: Rig) -> None:
    rig.add(*FIRST, *LATER)
    target = MemoryTarget()
    rig.offload(target).push()
    rig.delete("app-3", "new-1")
    rig.offload(target).push()
    rig.repository.clock.time += GRACE + 10
    rig.sign("timestamp")
    whole = {*FIRST, "app-4", "app-5"}
    for after in range(1000):
        one = deepcopy(target)
        one.left = after
        try:
            rig.sweep(one)
            break
        except Died:
            assert served(one)[1] == whole
        one.left = None
        rig.add("app-3")
        assert rig.offload(one).push() and served(one)[1] == {*whole, "app-3"}
        rig.delete("app-3")
        rig.repository.clock.time += GRACE + 10
    assert after > 3


def test_only_what_changed_is_put_again(rig: Rig) -> None:
    rig.add(*FIRST, *LATER)
    target = MemoryTarget()
    rig.offload(target).push()
    before = target.changes
    rig.add("new-2")
    rig.offload(target).push()
    put = {"package": 2, "shelf": 2, "root": 2, "snapshot": 2, "timestamp": 2, "switch": 1}
    assert target.changes - before == sum(put.values())
    before = target.changes
    rig.offload(target).push()
    assert target.changes == before


def test_a_first_copy_that_ended_before_its_time_is_gone_on_from_with_a_newer_release(rig: Rig) -> None:
    rig.add(*FIRST, *LATER)
    whole, target = MemoryTarget(), MemoryTarget()
    rig.offload(whole).push()
    target.left = whole.changes - 8
    with pytest.raises(Died):
        rig.offload(target).push()
    assert not target.shown and sorted(target.asked) == sorted(whole.asked)
    target.left, target.asked = None, []
    rig.add("new-2")
    rig.offload(target).push()
    assert served(target)[1] == {*FIRST, *LATER, "new-2"}
    assert set(target.asked) == {"repo/targets/new-1", "repo/targets/new-2"}, "those of the page that changed"


def test_a_copy_that_takes_longer_than_old_files_are_kept_ends_with_the_release_it_began_with(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.add("app-1")
    target, offload = MemoryTarget(), rig.offload(MemoryTarget())
    offload._target = target
    versioned, put_blob = offload._metadata.versioned, target.put_blob

    def put_slowly(names: Sequence[str], sha256: Sha256, blob: OpenBlob) -> None:
        put_blob(names, sha256, blob)
        kept = {"root"}
        monkeypatch.setattr(
            offload._metadata, "versioned", lambda role, n: versioned(role, n) if role in kept else None
        )

    monkeypatch.setattr(target, "put_blob", put_slowly)
    number = offload.push()
    assert served(target) == (number, {"app-1"})


def test_a_deleted_package_stays_for_a_grace_and_goes_with_old_files(rig: Rig) -> None:
    rig.add(*FIRST, *LATER)
    target = MemoryTarget()
    rig.offload(target).push()
    rig.delete("new-1")
    assert rig.sweep(target) == 0
    assert "repo/targets/new-1" in target.files
    rig.repository.clock.time += GRACE + 1
    for number in range(5):
        rig.add(f"app-{number + 10}")
        rig.offload(target).push()
    assert rig.sweep(target) > 0
    assert not any(name.endswith("new-1") for name in target.files)
    assert "tuf/1.root.json" in target.files and "repo/1.root.json" in target.files
    assert served(target)[1] == {*FIRST, "app-3", "app-4", "app-5", *(f"app-{n + 10}" for n in range(5))}
    assert rig.sweep(target) == 0


class Lease:
    def __init__(self) -> None:
        self.free = True

    def holds(self, name: str) -> bool:
        return self.free

    def give_up(self, name: str) -> None:
        pass


def offloading(rig: Rig, target: MemoryTarget, lease: Lease | None = None) -> Offloading:
    metadata: Metadata = rig.repository.opened.publisher()[1]
    metadata.refresh()
    offload = rig.offload_of(metadata, target)
    clock = rig.repository.clock
    return Offloading(offload, metadata, lease or Lease(), clock, offload.push, offload.sweep)


def test_a_failure_is_told_and_tried_again_later_and_later(rig: Rig) -> None:
    target = MemoryTarget()
    target.left = 0
    keeping, failures = offloading(rig, target), []
    while len(failures) < 3:
        try:
            keeping.step()
        except Died:
            failures.append(time.monotonic())
        rig.repository.clock.time += 1
        time.sleep(0.02)
    pauses = [later - sooner for sooner, later in pairwise(failures)]
    assert pauses[0] > 0.9 and pauses[1] > 1.9
    told = keeping.health()
    assert (told.release, told.problem) == (0, "Died") and told.behind > 10
    target.left = None
    while keeping.health().behind:
        keeping.step()
    assert keeping.health().problem is None and keeping.health().release > 0


def test_who_has_no_turn_only_looks_and_tells_the_same(rig: Rig) -> None:
    target, lease = MemoryTarget(), Lease()
    lease.free = False
    waiting, working = offloading(rig, target, lease), offloading(rig, target)
    waiting.step()
    assert target.changes == 0 and waiting.health().release == 0
    working.step()
    until = time.monotonic() + PATIENCE
    while waiting.health().release == 0 and time.monotonic() < until:
        waiting.step()
    assert waiting.health() == working.health()
    assert working.health().behind == 0


def test_releases_keep_a_distance(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    target = MemoryTarget()
    keeping, shown = offloading(rig, target), set()
    started = time.monotonic()
    for number in range(40):
        rig.add(f"app-{number}")
        keeping.step()
        shown.add(target.shown["tuf/timestamp.json"])
    assert len(shown) <= (time.monotonic() - started) / DISTANCE_SECONDS + 1


def told_by_status(rig: Rig, target: MemoryTarget) -> tuple[Copy | None, list[str]]:
    metadata: Metadata = rig.repository.opened.publisher()[1]
    metadata.refresh()
    offload, now = rig.offload_of(metadata, target), rig.repository.clock.now()
    found = look(rig.repository.opened.inventory(), metadata, now, 0, ShelfLimits(), offload)
    return found.copy, [finding.problem for finding in found.findings]


def test_status_tells_what_the_copy_shows_and_since_when_it_is_behind(rig: Rig) -> None:
    target = MemoryTarget()
    rig.offload(target).push()
    assert told_by_status(rig, target) == (Copy(1, 0, None), [])
    rig.repository.clock.time += 100
    rig.add("app-1")
    rig.repository.clock.time += 50
    rig.add("app-2")
    rig.repository.clock.time += 50
    assert told_by_status(rig, target) == (Copy(1, 100, None), [])
    rig.repository.clock.time += 600
    copy, (problem,) = told_by_status(rig, target)
    assert copy == Copy(1, 700, None) and "release 1; 3 is the newest" in problem


def test_status_says_why_a_copy_is_not_kept(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    target, other = MemoryTarget(), Rig(tmp_path / "other")
    other.offload(target).push()
    rig.add("app-1")
    copy, (problem,) = told_by_status(rig, target)
    assert copy and copy.problem and "another repository" in copy.problem and copy.problem in problem
    other.repository.close()
