"""The commands for people and CI, as processes, against a small server that answers what it is told to."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from client.commandline import CommandLine
from client.stub import Answer, Seen, Stub, error, package, page, serving
from torizon_io_api import repeating

UNREACHABLE = "http://127.0.0.1:9/api/v2beta"


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving() as running:
        yield running


@pytest.fixture
def otarium(stub: Stub, tmp_path: Path) -> CommandLine:
    (tmp_path / "app.bin").write_bytes(b"abc")
    return CommandLine({"OTARIUM_HOST": stub.host, "OTARIUM_TOKEN": "t0ken"}, tmp_path)


def stores(seen: Seen) -> Answer:
    """Takes every upload and says what arrived."""
    return Answer(
        value=lambda seen: package("my app", "1+b", size=seen.length, hashes={"sha256": seen.sha256})
    )


PUSH = ("push", "app.bin", "--name", "my app", "--version", "1+b")


def test_push_uploads_the_file_and_prints_id_hash_and_size(stub: Stub, otarium: CommandLine) -> None:
    stub.decide(stores)
    done = otarium.run_alone(*PUSH, "--hardware-id", "a", "--hardware-id", "b c")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "package\tmy app-1+b",
        f"sha256\t{hashlib.sha256(b'abc').hexdigest()}",
        "size\t3",
    ]
    assert stub.targets == [
        "POST /api/v2beta/packages?name=my%20app&version=1%2Bb&hardwareId=a&hardwareId=b%20c"
        "&targetFormat=BINARY"
    ]
    assert stub.seen[0].body == b"abc"
    assert stub.seen[0].headers["Authorization"] == "Bearer t0ken"


def test_push_prints_the_package_as_json(stub: Stub, otarium: CommandLine) -> None:
    stub.decide(stores)
    done = otarium.run(*PUSH, "--hardware-id", "a", "--json")
    assert json.loads(done.out)["packageId"] == "my app-1+b"


def test_push_without_a_hardware_id_warns_that_no_device_would_install_it(
    stub: Stub, otarium: CommandLine
) -> None:
    stub.decide(stores)
    done = otarium.run(*PUSH)
    assert done.code == 0
    assert done.err == "warning: no --hardware-id was given: no device would install this package\n"


def test_push_sets_the_comment_after_the_upload(stub: Stub, otarium: CommandLine) -> None:
    stub.decide(stores)
    assert otarium.run(*PUSH, "--hardware-id", "a", "--comment", "from CI").code == 0
    assert stub.targets[1] == "PATCH /api/v2beta/packages/my%20app-1%2Bb"
    assert json.loads(stub.seen[1].body) == {"comment": "from CI"}


def test_push_says_when_only_the_comment_failed(stub: Stub, otarium: CommandLine) -> None:
    stub.decide(lambda seen: stores(seen) if seen.method == "POST" else error(403, "read only"))
    done = otarium.run(*PUSH, "--hardware-id", "a", "--comment", "x")
    assert done.code == 1
    assert done.err.startswith("otarium: my app-1+b was uploaded, but its comment was not set: read only")


def test_push_fails_loudly_when_the_server_stored_other_bytes(stub: Stub, otarium: CommandLine) -> None:
    stub.answer(Answer(value=package(hashes={"sha256": "0" * 64})))
    done = otarium.run(*PUSH, "--hardware-id", "a")
    assert done.code == 1
    assert "the server stored other bytes than were sent" in done.err
    assert done.out == ""


def test_push_hashes_a_repeated_upload_once(stub: Stub, otarium: CommandLine) -> None:
    answers = iter([error(503, "busy", Retry_After="0"), stores(Seen("", "", {}))])
    stub.decide(lambda seen: next(answers))
    assert otarium.run(*PUSH, "--hardware-id", "a").code == 0
    assert len(stub.seen) == 2


def test_push_shows_rate_and_time_left_on_a_terminal_only(
    stub: Stub, otarium: CommandLine, tmp_path: Path
) -> None:
    os.truncate(tmp_path / "app.bin", 64 << 20)
    stub.decide(stores)
    shown = otarium.on_terminal(*PUSH, "--hardware-id", "a", columns=100).out
    assert "64.0/67.1 MB" in shown or "64.0/64.0 MiB" in shown
    assert "MB/s" in shown
    assert "0:00:00" in shown
    assert otarium.run(*PUSH, "--hardware-id", "a").err == ""


def test_errors_are_one_line_on_stderr_with_exit_code_1(
    stub: Stub, otarium: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeating, "FIRST_PAUSE", 0.0)
    stub.answer(error(409, "This package exists\nwith other bytes", "conflicting_entity"))
    done = otarium.run(*PUSH, "--hardware-id", "a")
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert done.err.startswith("otarium: This package exists with other bytes (HTTP 409, conflicting_entity")
    assert otarium.run("push", "missing.bin", "--name", "a", "--version", "1").code == 1
    assert "Connection refused" in otarium.run("show", "a-1", OTARIUM_HOST=UNREACHABLE).err


def test_list_passes_every_filter_on(stub: Stub, otarium: CommandLine) -> None:
    stub.answer(page())
    filters = (
        "--offset 1 --limit 2 --id-contains i --name-contains n --package-source s --package-source t"
        " --name m --version v --hardware-id h --hardware-id k --hash x --package-id p --package-id q"
        " --no-has-sbom --sort-by filename --sort-direction ASC"
    )
    assert otarium.run("list", *filters.split()).code == 0
    assert parse_qs(urlsplit(stub.seen[0].target).query) == {
        "offset": ["1"],
        "limit": ["2"],
        "idContains": ["i"],
        "nameContains": ["n"],
        "packageSource": ["s", "t"],
        "name": ["m"],
        "version": ["v"],
        "hardwareIds": ["h", "k"],
        "hashes": ["x"],
        "packageIds": ["p", "q"],
        "hasSBOM": ["false"],
        "sortBy": ["Filename"],
        "sortDirection": ["Asc"],
    }


def test_list_prints_lines_with_tabs_on_a_pipe_and_json_when_asked(stub: Stub, otarium: CommandLine) -> None:
    stub.answer(page(package(), package("b", hardwareIds=["x", "y"]), total=9))
    assert otarium.run("list").out.splitlines() == [
        "my-app-1.0\tmy-board\t3\t2026-01-02 03:04\ttargets.json",
        "b-1.0\tx, y\t3\t2026-01-02 03:04\ttargets.json",
    ]
    document = json.loads(otarium.run("list", "--json").out)
    assert document["total"] == 9
    assert document["values"][0] == package()


def test_list_fits_a_narrow_terminal_without_losing_anything(stub: Stub, otarium: CommandLine) -> None:
    stub.answer(page(package("n" * 100), total=7))
    shown = re.sub(r"\x1b\[[0-9;]*m", "", otarium.on_terminal("list", columns=60).out)
    assert all(len(line) <= 60 for line in shown.splitlines())
    assert shown.count("n") >= 100
    assert "1 of 7; next: --offset 1" in shown


def test_colours_are_for_terminals_without_no_color(stub: Stub, otarium: CommandLine) -> None:
    stub.answer(error(404, "nothing here"))
    assert "\x1b[1;31m" in otarium.on_terminal("show", "x").out
    assert "\x1b[1;31m" not in otarium.on_terminal("show", "x", NO_COLOR="1").out
    assert "\x1b" not in otarium.run_alone("show", "x", FORCE_COLOR="1").err


def test_list_all_walks_over_all_pages(stub: Stub, otarium: CommandLine) -> None:
    stub.answer(page(package("a"), package("b"), total=3), page(package("c"), total=3), page(total=3))
    document = json.loads(otarium.run("list", "--all", "--json").out)
    assert [one["name"] for one in document["values"]] == ["a", "b", "c"]
    assert otarium.run("list", "--all", "--limit", "3").code == 2


def test_show_prints_all_details_without_acting_on_the_terminal(stub: Stub, otarium: CommandLine) -> None:
    stub.answer(Answer(value=package("a/b", comment="\x1b[2J\x9bgone\nline", proprietaryMeta={"k": "é"})))
    out = otarium.run("show", "a/b-1.0").out
    assert stub.targets == ["GET /api/v2beta/packages/a%2Fb-1.0"]
    assert 'metadata\t{"k": "é"}' in out
    assert "comment\t\ufffd[2J\ufffdgone line" in out
    assert "\x1b[2J" not in otarium.on_terminal("show", "a/b-1.0").out


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (["--hardware-id", "a", "--hardware-id", "b"], {"hardwareIds": ["a", "b"]}),
        (["--no-hardware-ids"], {"hardwareIds": []}),
        (["--uri", "https://x/y", "--comment", ""], {"uri": "https://x/y", "comment": ""}),
        (
            ["--clear-uri", "--clear-comment", "--clear-meta"],
            {"uri": None, "comment": None, "proprietaryMeta": None},
        ),
        (["--meta", '{"a": 1}'], {"proprietaryMeta": {"a": 1}}),
        (["--meta", "meta.json"], {"proprietaryMeta": {"from": "file"}}),
    ],
)
def test_edit_sends_what_was_named_and_nothing_else(
    stub: Stub, otarium: CommandLine, tmp_path: Path, options: list[str], sent: dict[str, object]
) -> None:
    (tmp_path / "meta.json").write_text('{"from": "file"}')
    stub.answer(Answer(value=package()))
    assert otarium.run("edit", "my-app-1.0", *options).code == 0
    assert json.loads(stub.seen[0].body) == sent


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--uri", "x", "--clear-uri"],
        ["--hardware-id", "x", "--no-hardware-ids"],
        ["--meta", "[1]"],
        ["--meta", "{"],
    ],
)
def test_an_edit_that_makes_no_sense_is_not_sent(
    stub: Stub, otarium: CommandLine, tmp_path: Path, options: list[str]
) -> None:
    (tmp_path / "[1]").write_text("[1]")
    done = otarium.run("edit", "my-app-1.0", *options)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert stub.seen == []


def test_delete_asks_on_a_terminal_and_wants_yes_elsewhere(stub: Stub, otarium: CommandLine) -> None:
    stub.answer(Answer())
    assert otarium.run("delete", "a-1").code == 2
    assert otarium.on_terminal("delete", "a-1", typed="n\n").code == 1
    assert stub.seen == []
    assert otarium.on_terminal("delete", "a-1", typed="y\n").code == 0
    assert json.loads(otarium.run("delete", "a-1", "--yes", "--json").out) == {
        "packageId": "a-1",
        "deleted": True,
    }
    assert stub.targets == ["DELETE /api/v2beta/packages/a-1"] * 2


def test_check_finds_the_packages_with_the_same_bytes(stub: Stub, otarium: CommandLine) -> None:
    digest = hashlib.sha256(b"abc").hexdigest()
    stub.answer(page(package("a"), package("b")), page(total=2))
    done = otarium.run("check", "app.bin")
    assert (done.code, done.out) == (0, "a-1.0\nb-1.0\n")
    assert f"hashes={digest}" in stub.seen[0].target


def test_check_says_when_a_file_is_not_authorised(stub: Stub, otarium: CommandLine) -> None:
    stub.answer(page())
    done = otarium.run("check", "app.bin")
    assert (done.code, done.out) == (1, "Package not authorized by your repository\n")
    done = otarium.run("check", "app.bin", "--json")
    assert done.code == 1
    assert json.loads(done.out)["authorized"] is False
