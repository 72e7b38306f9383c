"""`otarium source publish` a second time, and what it refuses: wrong packages, paths, names, options."""

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from list_publisher import DIALECTS, FETCH, Publisher, app, publisher_in, refused
from otarium.domain.delegation import accept
from otarium.domain.roles import Dialect
from otarium.domain.sources import parse_delegation


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return publisher_in(tmp_path)


def test_the_version_rises_and_never_falls(publisher: Publisher) -> None:
    for expected in (1, 2):
        publisher.published([app()])
        for name in DIALECTS:
            assert publisher.accepted(name).file.version == expected
    publisher.published([app()], "--version", "7")
    before = {path: path.read_bytes() for path in publisher.folder.iterdir()}
    for asked in ("7", "3"):
        refused(publisher.publish([app()], "--version", asked), f"Version {asked} is not above 7", "for 8")
    assert {path: path.read_bytes() for path in publisher.folder.iterdir()} == before
    (publisher.folder / "acme.json").unlink()
    publisher.published([app()])
    assert publisher.accepted("acme.json").file.version == 8, "one of the two lists is enough"


def test_a_repository_takes_the_new_list_after_the_old_one(publisher: Publisher) -> None:
    publisher.published([app()])
    delegation = parse_delegation(publisher.bundle["keys"], publisher.bundle["delegationMetadata"])
    last: dict[Dialect, Any] = {}
    for packages in ([app()], [app(), app(version="2")]):
        publisher.published(packages)
        for name, dialect in DIALECTS.items():
            raw = (publisher.folder / name).read_bytes()
            last[dialect] = accept(raw, delegation, last, int(time.time()), 0).file


def test_a_package_keeps_its_content_and_its_dates(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def custom() -> Any:
        return publisher.read("acme.json")["signed"]["targets"]["acme-app-1.0"]["custom"]

    publisher.published([app()])
    first, later = custom(), time.time() + 100
    monkeypatch.setattr(time, "time", lambda: later)
    publisher.published([app()])
    assert custom() == first
    publisher.published([app(hardwareIds=["other"])])
    assert custom()["createdAt"] == first["createdAt"]
    assert custom()["updatedAt"] > first["updatedAt"]
    other = hashlib.sha256(b"new").hexdigest()
    refused(
        publisher.publish([app(sha256=other)]), "'acme-app' '1.0'", app()["sha256"], "give it a new version"
    )


def test_those_who_imported_before_must_hear_of_new_keys_and_paths(publisher: Publisher) -> None:
    assert publisher.published([app()]) == ""
    assert publisher.published([app()]) == ""
    said = publisher.published([app(), app(name="acme-tool")], keys=["second.pem"])
    assert "keyids and paths changed" in said
    assert "add-acme.json" in said


@pytest.mark.parametrize(
    "content", ["", "[]", '{"signed": {}}', '{"signed": {"version": "1", "targets": {}}}']
)
def test_a_file_that_is_no_list_is_not_replaced(publisher: Publisher, content: str) -> None:
    (publisher.folder / "acme.json").write_text(content)
    refused(publisher.publish([app()]), "acme.json")
    assert (publisher.folder / "acme.json").read_text() == content


def test_a_source_does_not_write_over_the_tuf_list_of_another(publisher: Publisher) -> None:
    publisher.published([app()])
    refused(publisher.publish([app()], "--name", "acme.tuf"), "acme.tuf.json is not the list")


def test_a_folder_that_cannot_be_written_keeps_what_it_has(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.published([app()])
    before = {path.name: path.read_bytes() for path in publisher.folder.iterdir() if "acme" in path.name}
    synced = []

    def full(handle: int) -> None:
        synced.append(handle)
        if len(synced) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    refused(publisher.publish([app(version="2")]), "No space left on device")
    assert {
        path.name: path.read_bytes() for path in publisher.folder.iterdir() if "acme" in path.name
    } == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": ""}, ["The package name", "empty"]),
        ({"name": "a#b"}, ["'a#b'", "cannot fetch"]),
        ({"name": 7}, ["name 7 is not a text"]),
        ({"version": "1/2"}, ["'1/2'", "slash"]),
        ({"version": None}, ["version is missing"]),
        ({"hardwareIds": "my-board"}, ["hardwareIds 'my-board' is not a list"]),
        ({"hardwareIds": ["a\nb"]}, ["'a\\nb'"]),
        ({"hardwareIds": None}, ["hardwareIds None"]),
        ({"sha256": "xyz"}, ["'xyz' is not a SHA-256"]),
        ({"length": -1}, ["length -1"]),
        ({"length": True}, ["length True"]),
        ({"length": 0}, ["length 0 is for OSTREE"]),
        ({"uri": None}, ["it has no uri"]),
        ({"uri": "ftp://files.example/x"}, ["'ftp://files.example/x'"]),
        ({"uri": "https://me:secret@files.example/x"}, ["user name or password"]),
        ({"targetFormat": "ZIP"}, ["'ZIP' is unknown"]),
        ({"createdAt": "yesterday"}, ["createdAt 'yesterday'"]),
        ({"createdAt": "2025-01-01T00:00:00"}, ["createdAt '2025-01-01T00:00:00'"]),
        ({"proprietaryMeta": {"uri": "x"}}, ["proprietaryMeta", "'uri'"]),
        ({"proprietaryMeta": [1]}, ["proprietaryMeta must be a JSON object"]),
        ({"hardwareid": ["x"]}, ["'hardwareid' is no member"]),
    ],
)
def test_a_wrong_package_is_named(publisher: Publisher, changes: dict[str, Any], words: list[str]) -> None:
    refused(publisher.publish([app(version="0.9"), app(**changes)]), "1 of 2 packages", "Package 2", *words)
    assert not (publisher.folder / "acme.json").exists()


def test_every_wrong_package_is_counted(publisher: Publisher) -> None:
    done = publisher.publish([app(), *(app(version=str(number), length=0) for number in range(7))])
    refused(done, "7 of 8 packages", "('acme-app' '0')", "('acme-app' '4')", "And 2 more.")
    assert "'5'" not in done.err


def test_an_id_that_is_listed_twice_is_named(publisher: Publisher) -> None:
    twice = [app(name="acme-a", version="b-1"), app(name="acme-a-b", version="1")]
    refused(publisher.publish(twice), "acme-a-b-1 is listed 2 times")


def test_packages_outside_the_paths_are_named(publisher: Publisher) -> None:
    done = publisher.publish([app(), app(name="other")], "--path", "acme-*")
    refused(done, "1 of 2 packages", "['acme-*']", "other-1.0")


def test_paths_that_nobody_could_import_are_refused(publisher: Publisher) -> None:
    refused(publisher.publish([app()], "--path", "/x*"), "'/x*'")
    many = [app(name=f"acme-{number}") for number in range(65)]
    refused(publisher.publish(many), "1-64 patterns")
    publisher.published(many, "--path", "acme-*")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "packages.json is not JSON"),
        ("{}", "must be a JSON list"),
        ("[1]", "Package 1: it is not an object"),
        ('[{"name": "a", "name": "b"}]', "names a member twice"),
        ('[{"proprietaryMeta": {"x": 1.5}}]', "1.5"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused(publisher: Publisher, text: str, word: str) -> None:
    (publisher.folder / "packages.json").write_text(text)
    where = ("--name", "acme", "--fetch-url", FETCH, "--key", "ed25519.pem")
    refused(publisher.run("publish", *where, "--packages", "packages.json"), word)


def test_a_package_for_no_hardware_is_warned_of(publisher: Publisher) -> None:
    assert "no device would install them: acme-app-1.0" in publisher.published([app(hardwareIds=[])])


@pytest.mark.parametrize("name", ["targets", "a/b", "", "x" * 51])
def test_a_name_that_no_repository_takes_is_refused(publisher: Publisher, name: str) -> None:
    refused(publisher.publish([app()], "--name", name), "The source name")


def test_options_that_make_no_sense_are_refused(publisher: Publisher) -> None:
    where = ("publish", "--name", "acme", "--fetch-url", FETCH, "--key", "ed25519.pem")
    refused(publisher.run(*where), "--packages FILE or --from-repository", code=2)
    refused(publisher.publish([app()], "--from-repository"), "either", code=2)
    refused(publisher.publish([app()], "--name-contains", "x"), "go with --from-repository", code=2)
