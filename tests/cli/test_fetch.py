# mypy: disable-error-code="attr-defined"
# python-tuf does not mark what its public modules export.
"""`otarium fetch` against a signed repository of python-tuf's own making, whole and tampered with."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api import metadata as tuf

from client.commandline import APPLICATION, CommandLine
from client.stub import Answer, Seen, Stub, error, serving

CONTENT = b"firmware" * 50_000
SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)


@dataclass
class Repository:
    """What is served under /tuf, and the root to trust; names in "shelved-" stand in a delegated role."""

    files: dict[str, bytes] = field(default_factory=dict)
    root: bytes = b""
    token: str | None = None

    def __call__(self, seen: Seen) -> Answer:
        if self.token and seen.headers.get("Authorization") != f"Bearer {self.token}":
            return error(401, "a token is needed")
        content = self.files.get(unquote(seen.target.removeprefix("/tuf/")))
        return error(404, "no such file") if content is None else Answer(body=content)

    def tamper(self, part: str, change: Any) -> None:
        (name,) = (name for name in self.files if part in name)
        self.files[name] = change(self.files[name])


def signed_repository(*names: str, expires: datetime = SOON) -> Repository:
    key = CryptoSigner.generate_ed25519()
    root = tuf.Root(expires=SOON, consistent_snapshot=True)
    for named in ("root", "timestamp", "snapshot", "targets"):
        root.add_key(key.public_key, named)
    targets, shelf = tuf.Targets(expires=SOON), tuf.Targets(version=7, expires=SOON)
    delegated = tuf.DelegatedRole("p-1", [key.public_key.keyid], 1, False, paths=["shelved-*"])
    targets.delegations = tuf.Delegations({key.public_key.keyid: key.public_key}, {"p-1": delegated})
    served = Repository()
    for name in names:
        target = tuf.TargetFile.from_data(name, CONTENT, ["sha256"])
        (shelf if name.startswith("shelved-") else targets).targets[name] = target
        folder, slash, last = name.rpartition("/")
        served.files[f"targets/{folder}{slash}{target.hashes['sha256']}.{last}"] = CONTENT
    snapshot = tuf.Snapshot(expires=SOON, meta={"targets.json": tuf.MetaFile(1), "p-1.json": tuf.MetaFile(7)})
    timestamp = tuf.Timestamp(expires=expires, snapshot_meta=tuf.MetaFile(1))
    roles = {"1.root": root, "timestamp": timestamp, "1.snapshot": snapshot, "1.targets": targets}
    for file, role in (roles | {"7.p-1": shelf}).items():
        document = tuf.Metadata[Any](role)
        document.sign(key)
        served.files[f"{file}.json"] = document.to_bytes()
    served.root = served.files["1.root.json"]
    return served


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving() as running:
        yield running


@pytest.fixture
def otarium(tmp_path: Path) -> CommandLine:
    return CommandLine(folder=tmp_path)


def fetch(
    otarium: CommandLine, stub: Stub, repository: Repository, name: str, *options: str, **env: str
) -> Any:
    assert otarium.folder is not None
    stub.decide(repository)
    (otarium.folder / "root.json").write_bytes(repository.root)
    trust = () if "--trust-on-first-use" in options else ("--root", "root.json")
    return otarium.run("fetch", name, "--server", f"{stub.url}/", "-o", "got.bin", *trust, *options, **env)


@pytest.mark.parametrize("name", ["my-app-1.0", "shelved-1", "a/b c+d%é-1", "%2Fx~,;&=-1"])
def test_a_package_arrives_verified_whatever_its_id_contains(
    stub: Stub, otarium: CommandLine, tmp_path: Path, name: str
) -> None:
    done = fetch(otarium, stub, signed_repository(name), name)
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "got.bin").read_bytes() == CONTENT
    assert f"sha256\t{hashlib.sha256(CONTENT).hexdigest()}" in done.out
    assert f"length\t{len(CONTENT)}" in done.out
    for role in ("root", "timestamp", "snapshot", "targets"):
        assert f"verified {role}\tversion 1, expires {SOON}" in done.out
    assert ("verified p-1\tversion 7" in done.out) == name.startswith("shelved-")


def test_what_was_verified_can_be_had_as_json(stub: Stub, otarium: CommandLine) -> None:
    document = json.loads(fetch(otarium, stub, signed_repository("a-1"), "a-1", "--json").out)
    assert document["length"] == len(CONTENT)
    assert document["verified"]["timestamp"] == {"version": 1, "expires": SOON.isoformat()}


def test_the_file_replaces_an_older_one_and_can_be_read_by_others(
    stub: Stub, otarium: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "got.bin").write_text("old")
    umask = os.umask(0o022)
    try:
        assert fetch(otarium, stub, signed_repository("a-1"), "a-1").code == 0
    finally:
        os.umask(umask)
    assert (tmp_path / "got.bin").read_bytes() == CONTENT
    assert (tmp_path / "got.bin").stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in tmp_path.iterdir()) == ["got.bin", "root.json"]


def test_trust_on_first_use_is_said_loudly(stub: Stub, otarium: CommandLine) -> None:
    done = fetch(otarium, stub, signed_repository("a-1"), "a-1", "--trust-on-first-use")
    assert done.code == 0
    assert done.err.startswith("warning: trusting the connection")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (
            lambda repository: repository.tamper("targets/", lambda content: b"F" + content[1:]),
            "expected hash",
        ),
        (lambda repository: repository.tamper("targets/", lambda content: content + b"x"), "more than"),
        (lambda repository: repository.tamper("targets/", lambda content: content[:-1]), "length"),
        (lambda repository: repository.tamper("timestamp", lambda text: text.replace(b'"1.0', b'"1.1')), ""),
        (lambda repository: repository.files.pop("1.snapshot.json"), "no such file"),
        (lambda repository: setattr(repository, "root", signed_repository().root), "signed"),
        (lambda repository: setattr(repository, "root", b"{}"), ""),
    ],
    ids=["other-bytes", "more-bytes", "fewer-bytes", "timestamp", "no-snapshot", "other-root", "no-root"],
)
def test_nothing_is_written_when_anything_is_wrong(
    stub: Stub, otarium: CommandLine, tmp_path: Path, spoil: Any, why: str
) -> None:
    repository = signed_repository("a-1")
    spoil(repository)
    done = fetch(otarium, stub, repository, "a-1")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert why in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["root.json"]


def test_an_expired_repository_is_not_trusted(stub: Stub, otarium: CommandLine, tmp_path: Path) -> None:
    repository = signed_repository("a-1", expires=datetime(2020, 1, 1, tzinfo=UTC))
    done = fetch(otarium, stub, repository, "a-1")
    assert done.code == 1
    assert "expired" in done.err


def test_a_package_that_is_not_signed_for_is_not_fetched(stub: Stub, otarium: CommandLine) -> None:
    done = fetch(otarium, stub, signed_repository("a-1"), "b-1")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "b-1 is not in the signed metadata" in done.err


def test_a_token_is_sent_when_it_is_given_and_not_taken_from_the_environment(
    stub: Stub, otarium: CommandLine
) -> None:
    repository = signed_repository("a-1")
    repository.token = "device"
    refused = fetch(otarium, stub, repository, "a-1", OTARIUM_TOKEN="device")
    assert refused.code == 1
    assert "a token is needed" in refused.err
    assert fetch(otarium, stub, repository, "a-1", "--token", "device").code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--server", "http://127.0.0.1:9", "-o", "x"),
        ("--server", "http://127.0.0.1:9", "-o", "x", "--root", "r", "--trust-on-first-use"),
        ("--server", "127.0.0.1:9", "-o", "x", "--trust-on-first-use"),
        ("--server", "http://127.0.0.1:9", "-o", "/dev/null", "--trust-on-first-use"),
    ],
)
def test_a_fetch_that_makes_no_sense_is_refused(otarium: CommandLine, arguments: tuple[str, ...]) -> None:
    done = otarium.run("fetch", "a-1", *arguments)
    assert (done.code, done.err.count("\n")) == (2, 1)


def test_without_python_tuf_the_extra_is_named() -> None:
    blocked = "import sys; sys.modules['tuf'] = None\n" + APPLICATION
    arguments = ("fetch", "a-1", "--server", "http://127.0.0.1:9", "--trust-on-first-use", "-o", "x")
    done = subprocess.run(
        [sys.executable, "-c", blocked, *arguments],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "pip install 'otarium[device]'" in done.stderr
