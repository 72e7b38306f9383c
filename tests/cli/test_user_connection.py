"""How the user commands find the server, log in, and make sure that they use their own client module."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.commandline import CommandLine
from client.stub import Answer, Stub, page, serving


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving() as running:
        running.answer(page())
        yield running


@pytest.mark.parametrize(
    ("env", "what"),
    [
        ({}, "OTARIUM_HOST"),
        ({"OTARIUM_HOST": "http://127.0.0.1:9/api"}, "OTARIUM_TOKEN"),
        ({"OTARIUM_HOST": "http://127.0.0.1:9/api", "OTARIUM_CLIENT_ID": "x"}, "OTARIUM_CLIENT_SECRET"),
        ({"OTARIUM_HOST": "127.0.0.1:9", "OTARIUM_TOKEN": "x"}, "http"),
    ],
)
def test_a_missing_setting_is_named_in_one_line(env: dict[str, str], what: str) -> None:
    done = CommandLine(env).run("list")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert what in done.err


def test_options_count_before_the_environment(stub: Stub) -> None:
    env = {"OTARIUM_HOST": "http://127.0.0.1:9/api", "OTARIUM_TOKEN": "other"}
    assert CommandLine(env).run("list", "--host", stub.host, "--token", "mine").code == 0
    assert stub.seen[0].headers["Authorization"] == "Bearer mine"


def test_a_client_id_and_secret_log_in(stub: Stub) -> None:
    stub.answer(Answer(value={"access_token": "issued", "expires_in": 60}), page())
    env = {"OTARIUM_HOST": stub.host, "OTARIUM_CLIENT_ID": "ci", "OTARIUM_CLIENT_SECRET": "s"}
    assert CommandLine(env).run("list").code == 0
    assert stub.targets[0] == "POST /auth/realms/ota-users/protocol/openid-connect/token"
    assert stub.seen[1].headers["Authorization"] == "Bearer issued"


def test_a_client_given_as_option_counts_before_a_token_in_the_environment(stub: Stub) -> None:
    stub.answer(Answer(value={"access_token": "issued"}), page())
    env = {"OTARIUM_HOST": stub.host, "OTARIUM_TOKEN": "other", "OTARIUM_CLIENT_SECRET": "s"}
    assert CommandLine(env).run("list", "--client-id", "ci").code == 0
    assert stub.seen[1].headers["Authorization"] == "Bearer issued"


@pytest.mark.parametrize("content", ["__version__ = '0.0.7'", "import dateutil_that_is_missing"])
def test_a_foreign_client_module_stops_every_command_with_one_line(
    stub: Stub, tmp_path: Path, content: str
) -> None:
    (tmp_path / "torizon_io_api").mkdir()
    (tmp_path / "torizon_io_api" / "__init__.py").write_text(content)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    env = {"OTARIUM_HOST": stub.host, "OTARIUM_TOKEN": "t", "PYTHONPATH": path}
    done = CommandLine(env).run_alone("list")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "pip uninstall torizon-io-api" in done.err
    assert stub.seen == []


def test_a_proxy_is_taken_from_the_environment_but_never_for_this_machine(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from otarium.cli.connect import proxy_for

    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert proxy_for("https://ota.example/api") == "http://proxy.example:3128"
    assert proxy_for("https://ota.inside.example/api") is None
    assert proxy_for("https://localhost/api") is None
    env = {"OTARIUM_HOST": stub.host, "OTARIUM_TOKEN": "t", "http_proxy": "http://127.0.0.1:9"}
    assert CommandLine(env).run("list").code == 0


def test_every_command_explains_itself_with_an_example() -> None:
    for command in ("push", "list", "show", "edit", "delete", "check", "fetch"):
        shown = CommandLine().run(command, "--help")
        assert shown.code == 0
        assert f"otarium {command}" in shown.out
