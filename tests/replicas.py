"""Replicas over one PostgreSQL and one object store, as on machines of their own."""

import logging
import shutil
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from moto.server import ThreadedMotoServer

from harness import Server, running_server
from postgresql import running_cluster


@contextmanager
def store_of_objects() -> Iterator[dict[str, str]]:
    """What reaches a server that speaks S3, with a bucket `packages`."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    host, port = store.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/packages", method="PUT")).close()
    try:
        yield {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_REGION": "us-east-1",
        }
    finally:
        store.stop()


@contextmanager
def shared_settings() -> Iterator[dict[str, str]]:
    """What replicas have in common: a new database, and a bucket."""
    with store_of_objects() as store, running_cluster() as cluster:
        database = {"OTARIUM_DATABASE_URL": cluster.new_database()}
        yield {**database, "OTARIUM_BLOBS_URL": "s3://packages/otarium", **store}


@contextmanager
def running_replicas(directory: Path, number: int, settings: Mapping[str, str]) -> Iterator[list[Server]]:
    """The first makes the repository; the others get its master key."""
    with ExitStack() as stack:
        servers: list[Server] = []
        for index in range(number):
            data = directory / f"replica-{index + 1}"
            if servers:
                data.mkdir(mode=0o700)
                shutil.copy(servers[0].data_dir / "master.key", data / "master.key")
            servers.append(stack.enter_context(running_server(data, env=settings)))
        yield servers
