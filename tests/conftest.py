"""Servers for tests: `server` is shared by the whole run (use names of your own), `fresh_server` is yours."""

import pytest
from hypothesis import HealthCheck, settings

from harness import running_server

# No test fails since the machine has other work to do: examples may take any time, and so may making them.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_collection_modifyitems(items):
    """What takes longest comes first: at the end one process would wait for the other to finish it."""
    items.sort(key=lambda item: item.path.parent.name != "prove")


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("shared") / "data") as running:
        yield running


@pytest.fixture
def fresh_server(tmp_path):
    with running_server(tmp_path / "data") as running:
        yield running
