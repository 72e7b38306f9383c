"""Replicas that start together on an empty database make one repository between them."""

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from harness import Server, free_port, http, upload
from postgresql import Cluster, running_cluster

REPLICAS = 3


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as running:
        yield running


@contextmanager
def started_together(directory: Path, database: str, key_file: Path) -> Iterator[list[Server]]:
    env = {
        "OTARIUM_DATABASE_URL": database,
        "OTARIUM_BLOBS_URL": f"file://{directory / 'blobs'}",
        "OTARIUM_MASTER_KEY_FILE": str(key_file),
    }
    servers = [Server(directory / f"replica-{number}", free_port(), env=env) for number in range(REPLICAS)]
    with ExitStack() as stack:
        threads = [threading.Thread(target=_start, args=(server, stack)) for server in servers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        yield servers


def _start(server: Server, stack: ExitStack) -> None:
    stack.callback(lambda: server.process and server.kill_group())
    server.start()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """Made as docs/deployment.md says, where nothing can be written."""
    path = tmp_path / "secrets" / "master.key"
    path.parent.mkdir()
    path.write_text(secrets.token_hex(32) + "\n")
    path.chmod(0o400)
    path.parent.chmod(0o500)
    return path


def test_replicas_that_start_together_on_an_empty_database_are_one_repository(cluster, tmp_path, key_file):
    with started_together(tmp_path, cluster.new_database(), key_file) as servers:
        roots = {http(server, "GET", "/tuf/1.root.json", token=None).body for server in servers}
        assert len(roots) == 1 and json.loads(*roots)["signed"]["version"] == 1
        assert http(servers[0], "GET", "/tuf/2.root.json", token=None).status == 404
        clients = [list(server.data_dir.glob("first-client.json")) for server in servers]
        assert sum(map(len, clients)) == 1, "the first client was made once"
        servers[0].token = servers[0].create_token()
        for number, server in enumerate(servers):
            server.token = servers[0].token
            upload(server, "from-each", str(number), b"%d" % number)
        verified = servers[0].run("verify", check=False)
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert all(server.stop() == 0 for server in servers)


def test_a_replica_with_another_master_key_says_so_and_changes_nothing(cluster, tmp_path, key_file):
    database = cluster.new_database()
    with started_together(tmp_path, database, key_file) as servers:
        env = {"OTARIUM_DATABASE_URL": database, "OTARIUM_BLOBS_URL": f"file://{tmp_path / 'blobs'}"}
        stranger = Server(tmp_path / "stranger", free_port(), env=env)
        with pytest.raises(RuntimeError, match="master key"):
            stranger.start()
        assert all(http(server, "GET", "/health/ready", token=None).status == 200 for server in servers)
