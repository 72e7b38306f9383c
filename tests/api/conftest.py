"""What the tests of external sources share: one server that trusts others, and one host of their lists."""

import pytest

from harness import running_server
from publisher import serving


@pytest.fixture(scope="session")
def trusting(tmp_path_factory):
    """Remove your sources when you have finished; names that had a list are used up."""
    with running_server(tmp_path_factory.mktemp("trusting") / "data") as running:
        yield running


@pytest.fixture(scope="session")
def host():
    with serving() as made:
        yield made
