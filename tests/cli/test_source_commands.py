"""`otarium source` while a server runs on the same data directory, mostly inside the process of the test."""

import json
import os
import pty
import subprocess
import sys

import pytest
import typer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from typer.testing import CliRunner

from api.sources import add, call, delegated, done, edit, every, feed, remove_all, rows, served, show
from harness import http, running_server, upload
from otarium.cli import sources
from publisher import Publisher, serving, target

SECRET = "tops3cret-value"
LOOSE = "--allow-insecure-source"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("commands") / "data") as made:
        yield made


@pytest.fixture
def server(running):
    """Without sources, before and after each test."""
    yield running
    remove_all(running)


@pytest.fixture(scope="module")
def host():
    with serving() as made:
        yield made


def run(server, *words, code=0, alone=False):
    """`otarium source WORDS`; no traceback and no secret, whatever happens. `alone`: in its own process."""
    texts = ["source", *map(str, words)]
    if alone:
        result = server.run(*texts, check=False)
        status = result.returncode
    else:
        app = typer.Typer()
        sources.register(app)
        clean = dict.fromkeys(name for name in os.environ if name.startswith("OTARIUM_"))
        result = CliRunner().invoke(app, [*texts, "--data-dir", str(server.data_dir)], env=clean)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        status = result.exit_code
    assert status == code, (result.stdout, result.stderr)
    for text in (result.stdout, result.stderr):
        assert "Traceback" not in text
        assert SECRET not in text
    return result


def failed(server, *words, code=1, says=(), alone=False):
    """One line on stderr, nothing on stdout."""
    result = run(server, *words, code=code, alone=alone)
    assert result.stdout == ""
    if code == 1:
        assert result.stderr.count("\n") == 1
        assert result.stderr.startswith("otarium: ")
    for word in says:
        assert word in result.stderr, result.stderr
    return result


def bundle_file(folder, made, **more):
    """As its publisher hands it out."""
    path = folder / f"add-{made.name}.json"
    path.write_text(json.dumps(made.publisher.bundle(made.url) | more))
    return path


def test_a_bundle_is_added_and_the_server_knows_it_at_once(server, host, tmp_path):
    tdx = feed(host, "tdx")
    header = ("--header", f"Authorization=Bearer {SECRET}")
    result = run(
        server, "add", bundle_file(tmp_path, tdx), LOOSE, *header, "--every", "2h", "--json", alone=True
    )
    shown = json.loads(result.stdout)
    assert shown == show(server, "tdx")
    assert (shown["state"], shown["interval"], shown["headers"]) == ("fresh", 7200, ["authorization"])
    assert "plain http and private addresses" in result.stderr
    assert [one["packageId"] for one in rows(server, "tdx")] == ["tdx/os-1.0"]
    assert (served(server, "tdx"), list(delegated(server))) == (tdx.publish(target("tdx/os-1.0")), ["tdx"])
    assert host.request_headers[tdx.path][0]["authorization"] == f"Bearer {SECRET}"
    assert SECRET not in server.log_tail(1_000_000)


def test_options_say_what_a_bundle_would(server, host, tmp_path):
    plain = feed(host, "plain")
    [key] = plain.publisher.keys
    more = ("--name", "plain.json", "--path", "plain/*", "--path", "more/*", "--url", plain.url, LOOSE)
    run(server, "add", "--key", key.public, *more, "--friendly-name", "Plain words", "--no-vouch")
    shown = show(server, "plain")
    assert (shown["state"], shown["friendlyName"]) == ("fresh", "Plain words")
    assert shown["paths"] == ["plain/*", "more/*"]
    signer = feed(host, "signer", kind="rsa", rule="tuf")
    pem = tmp_path / "signer.pem"
    pem.write_text(signer.publisher.keys[0].public)
    host.put(signer.path, signer.publisher.tuf(target("signer/os-1.0")))
    run(server, "add", "--key", pem, "--name", "signer", "--path", "signer/*", "--url", signer.url, LOOSE)
    assert show(server, "signer")["files"][0]["dialect"] == "tuf"


def test_a_list_is_lines_for_programs_or_json(server, host):
    good, broken, off = feed(host, "good"), feed(host, "broken"), feed(host, "off")
    host.status(broken.path, 500)
    for made in (good, broken, off):
        add(server, made)
    done(call(server, "PATCH", "/off", {"enabled": False}))
    result = run(server, "list", alone=True)
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [line[:2] for line in lines] == [["good", "fresh"], ["broken", "unreachable"], ["off", "disabled"]]
    assert [line[-1] for line in lines] == [good.url, broken.url, off.url]
    assert lines[0][2] == show(server, "good")["expires"]
    assert "broken" in result.stderr and "status 500" in result.stderr
    assert json.loads(run(server, "list", "--json").stdout) == call(server, "GET").json["values"]


def test_a_list_that_no_client_is_sent_to_is_not_among_the_dialects(server, host):
    both = feed(host, "both")
    host.put("/both.tuf.json", both.publisher.tuf(target("both/os-1.0")))
    add(server, both, tufFetchUrl=host.url + "/both.tuf.json")

    def dialects():
        [line] = run(server, "list").stdout.splitlines()
        return set(line.split("\t")[4].split())

    assert dialects() == {"uptane", "tuf"}
    edit(server, "both", tufFetchUrl=None, vouch=True)
    assert dialects() == {"uptane"}
    result = run(server, "show", "both")
    fields = dict(line.split("\t", 1) for line in result.stdout.splitlines())
    assert "no client is sent to it" in fields["tuf list"]
    assert "no client is sent to it" not in fields["uptane list"]
    assert "vouched for from version 2 on" in result.stderr


def test_one_source_is_shown_with_its_problem_and_its_warnings(server, host):
    shown = feed(host, "shown")
    add(server, shown, headers={"X-Feed": SECRET})
    host.put(shown.path, b"no list")
    failed(server, "refresh", "shown", says=["not JSON"])
    result = run(server, "show", "shown.json")
    fields = dict(line.split("\t", 1) for line in result.stdout.splitlines())
    assert (fields["name"], fields["state"], fields["headers"]) == ("shown", "refused", "x-feed")
    assert fields["paths"] == "shown/*"
    assert "version 1" in fields["uptane list"]
    for words in ("not JSON", "match a slash", "plain http and private addresses"):
        assert words in result.stderr
    assert json.loads(run(server, "show", "shown", "--json").stdout) == show(server, "shown")


def test_an_edit_changes_what_it_names(server, host):
    tdx = feed(host, "edited")
    before = add(server, tdx, headers={"X-Feed": SECRET})
    words = ("--friendly-name", "Ä name", "--every", "30m", "--clear-headers", "--follow-redirects")
    run(server, "edit", "edited", *words)
    after = show(server, "edited")
    assert (after["friendlyName"], after["interval"], after["headers"]) == ("Ä name", 1800, [])
    assert (after["followRedirects"], after["fetchUrl"]) == (True, before["fetchUrl"])
    failed(server, "edit", "edited", "--no-insecure-source", says=["https"])
    assert show(server, "edited")["insecure"] is True


def test_a_refresh_takes_over_or_says_why_not(server, host):
    tdx = feed(host, "again")
    add(server, tdx)
    tdx.publish(target("again/os-2"), 2)
    assert json.loads(run(server, "refresh", "again.json", "--json").stdout)["files"][0]["version"] == 2
    assert [one["version"] for one in rows(server, "again")] == ["2"]
    tdx.publish(target("again/os-1"), 1)
    failed(server, "refresh", "again", says=["version 2 to 1"], alone=True)
    assert [one["version"] for one in rows(server, "again")] == ["2"]


def test_sources_are_disabled_enabled_ordered_and_removed_without_a_word(server, host):
    for name in ("one", "two"):
        add(server, feed(host, name))

    def quiet(*words):
        result = run(server, *words)
        assert (result.stdout, result.stderr) == ("", "")

    quiet("disable", "one")
    assert (list(delegated(server)), rows(server, "one")) == (["two"], [])
    quiet("enable", "one.json")
    assert list(delegated(server)) == ["one", "two"]
    quiet("order", "two", "one")
    assert list(delegated(server)) == every(server) == ["two", "one"]
    failed(server, "order", "two", says=["two, one"])
    quiet("remove", "two")
    assert (list(delegated(server)), every(server)) == (["one"], ["one"])


def test_a_source_that_cannot_be_fetched_is_added_all_the_same(server, host, tmp_path):
    late = feed(host, "late")
    host.status(late.path, 404)
    result = run(server, "add", bundle_file(tmp_path, late), LOOSE, "--json", code=1)
    assert json.loads(result.stdout)["state"] == "unreachable"
    assert result.stderr.splitlines()[-1].startswith("otarium: ")
    assert "status 404" in result.stderr
    assert every(server) == ["late"]
    failed(server, "add", bundle_file(tmp_path, late), says=["https"])


@pytest.mark.parametrize("command", ["show", "edit", "refresh", "disable", "remove"])
def test_an_unknown_source_is_said_in_one_line(server, command):
    failed(server, command, "nobody", says=["nobody"])


def test_what_makes_no_sense_is_a_usage_error(server, tmp_path):
    private = tmp_path / "private.pem"
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    key = rsa.generate_private_key(65537, 2048)
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    made = ("--name", "x", "--path", "x/*", "--url", "https://example.com/x")
    failed(server, "add", code=2, says=["--name"])
    failed(server, "add", *made, "--key", private, code=2, says=["private key"])
    failed(
        server, "add", *made, "--key", "ab" * 32, "--header", f"X-Feed:{SECRET[:0]}", code=2, says=["NAME"]
    )
    failed(server, "edit", "x", "--every", "5 minutes", code=2, says=["5 minutes"])
    assert every(server) == []


def test_files_that_cannot_be_used_are_named_in_one_line(server, tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "list.json").write_text("[]")
    made = ("--name", "x", "--path", "x/*", "--url", "https://example.com/x")
    failed(server, "add", tmp_path / "none.json", says=["none.json"])
    failed(server, "add", tmp_path / "binary", says=["binary"])
    failed(server, "add", tmp_path / "list.json", says=["list.json", "object"])
    failed(server, "add", *made, "--key", tmp_path / "binary", says=["key"], alone=True)
    failed(server, "add", *made, "--key", tmp_path / "none.pem", says=["none.pem"])


def test_what_needs_a_yes_is_not_taken_from_the_bundle(server, host, tmp_path):
    upload(server, "greedy/own", "1", b"x")
    greedy = feed(host, "greedy")
    yes = {"acceptOverlap": True, "insecure": True, "followRedirects": True, "vouch": True}
    bundle = bundle_file(tmp_path, greedy, **yes, headers={"X-Theirs": "x"}, interval=60)
    refused = run(server, "add", bundle, code=1)
    assert "https" in refused.stderr.splitlines()[-1]
    refused = run(server, "add", bundle, LOOSE, code=1)
    assert "greedy/own-1" in refused.stderr.splitlines()[-1]
    assert (every(server), greedy.requests) == ([], 0)
    for number in (2, 10):
        upload(server, "greedy/own", str(number), b"x")
    refused = run(server, "add", bundle, LOOSE, code=1)
    told, *others = refused.stderr.partition("otarium: ")[2].splitlines()
    assert others == [f"  greedy/own-{number}" for number in (1, 10, 2) if f"own-{number}'" not in told]
    assert len(others) == 2
    run(server, "add", bundle, LOOSE, "--accept-overlap")
    shown = show(server, "greedy")
    assert (shown["followRedirects"], shown["vouch"], shown["headers"]) == (False, False, [])
    assert shown["interval"] == 3600


def test_a_bundle_is_added_under_another_local_name(server, host, tmp_path):
    back = feed(host, "back", version=5)
    add(server, back)
    remove_all(server)
    back.publish(target("back/os-1"), 1)
    run(server, "add", bundle_file(tmp_path, back), LOOSE, "--name", "back-again")
    assert (every(server), show(server, "back-again")["state"]) == (["back-again"], "fresh")


def test_this_repository_hands_out_the_bundle_that_the_server_does(server, host):
    public = ("--public-url", "https://example.com/")
    told = json.loads(run(server, "bundle", *public, "--name", "ours", "--path", "own/*").stdout)
    about = told["delegationMetadata"]
    assert (about["name"], about["paths"], about["terminating"]) == ("ours", ["own/*"], False)
    assert told["fetchUrl"] == "https://example.com/repo/feed/targets.json"
    answer = http(server, "GET", "/api/otarium/v1/bundle?name=ours&path=own/*").json
    assert set(answer) == set(told)
    assert (answer["keys"], answer["delegationMetadata"]) == (told["keys"], about)
    assert "public-url" in run(server, "bundle").stderr
    failed(server, "bundle", *public, "--name", "root", says=["root"])
    add(server, feed(host, "beside"))
    again = json.loads(run(server, "bundle", *public, "--name", "ours", "--path", "own/*").stdout)
    assert again == told


def test_on_a_terminal_what_is_insecure_is_red(server, host, tmp_path):
    loose = bundle_file(tmp_path, feed(host, "loose"))
    words = ["source", "add", str(loose), LOOSE, "--data-dir", str(server.data_dir)]
    outside, inside = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    command = [sys.executable, "-m", "otarium", *words]
    terminal = environment | {"TERM": "xterm-256color"}
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=inside, env=terminal, check=True, timeout=30)
    os.close(inside)
    text = os.read(outside, 65536).decode()
    os.close(outside)
    assert "\x1b[1;31mThis source may use plain http" in text


def test_a_bundle_may_come_over_a_pipe(server, host):
    piped = Publisher("piped")
    host.put("/piped.json", piped.uptane(target("piped/os-1")))
    words = ["source", "add", "-", LOOSE, "--data-dir", str(server.data_dir)]
    text = json.dumps(piped.bundle(host.url + "/piped.json"))
    command = [sys.executable, "-m", "otarium", *words]
    subprocess.run(command, input=text, text=True, capture_output=True, check=True, timeout=30)
    assert show(server, "piped")["state"] == "fresh"
