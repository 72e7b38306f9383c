"""Everything in targets.json: told before it is full, refused when it is, and nothing is lost."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from api.calls import patch, refused
from api.sources import call
from device.external import HARDWARE, client, supplier
from harness import running_server, upload
from operate.test_metrics import value
from publisher import serving

NOTE = "x" * 15_000
WARNING = 3_750_000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    flat = {"OTARIUM_LAYOUT": "flat", "OTARIUM_FIRST_SHELF_PACKAGES": "2"}
    with running_server(tmp_path_factory.mktemp("flat") / "data", env=flat) as running:
        yield running


def fill(server, numbers) -> list[int]:
    """The statuses of the edits that make entries large."""

    def one(number: int) -> int:
        upload(server, "app", f"{number:03}", b"%d" % number, [HARDWARE])
        return patch(server, f"app-{number:03}", {"proprietaryMeta": {"note": NOTE}}).status

    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(one, numbers))


def test_an_operator_is_warned_at_three_quarters_and_packages_are_refused_at_the_limit(server, tmp_path):
    assert value(server, "targets_limit_bytes") == 5_000_000
    assert set(fill(server, range(200))) == {200}
    assert value(server, "targets_bytes") < WARNING
    assert server.run("status", check=False).returncode == 0
    assert set(fill(server, range(200, 280))) == {200}
    assert WARNING < value(server, "targets_bytes") < 5_000_000
    warned = server.run("status", check=False)
    assert warned.returncode == 1 and "OTARIUM_LAYOUT" in warned.stdout + warned.stderr
    statuses = fill(server, range(280, 340))
    assert set(statuses) == {200, 413}
    refused(
        patch(server, "app-339", {"proprietaryMeta": {"note": NOTE}}), 413, None, "OTARIUM_LAYOUT=shelves"
    )
    assert value(server, "targets_bytes") < 5_000_000
    assert value(server, "shelves") == 0
    ids = [f"app-{number:03}" for number in (0, 250, 339)]
    for judge in ("uptane", "python-tuf"):
        assert set(client(judge, server, tmp_path).follow(*ids)) == set(ids)
    with serving() as host:
        paths = [f"wide/{number:02}-{'x' * 240}*" for number in range(63)]
        wide = supplier(host, "wide", paths=["wide/os-*", *paths])
        wide.add(server)
        refused(wide.refresh(server), 413, None, "targets.json would have", "OTARIUM_LAYOUT=shelves")
        shown = call(server, "GET", "/wide").body.decode()
        assert "refused" in shown and "targets.json would have" in shown
        assert value(server, "targets_bytes") < 5_000_000
