"""Every release of the official client, unmodified: the full round trip."""

import pytest

from api.traces import agreed
from harness import running_server
from judges import official


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Its own: one of the releases cannot read a page that holds a package with proprietaryMeta."""
    with running_server(tmp_path_factory.mktemp("official") / "data") as running:
        yield running


@pytest.mark.parametrize("version", official.VERSIONS)
def test_the_official_client_makes_its_whole_journey(server, version):
    report = official.round_trip(version, server.url, server.token)
    assert report.failed == {}
    assert report.exit_code == 0
    assert len(report.passed) >= 15
    agreed(server)
