"""Servers for tests: `server` is shared by the whole run (use names of your own), `fresh_server` is yours."""

import pytest

from harness import running_server


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("shared") / "data") as running:
        yield running


@pytest.fixture
def fresh_server(tmp_path):
    with running_server(tmp_path / "data") as running:
        yield running
