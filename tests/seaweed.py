"""SeaweedFS, an object store that others run in production, in one process and on free loopback ports."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from harness import free_port

_SECONDS = 60
_COMMAND = Path(sys.executable).with_name("weed")
_PORTS = ("master.port", "volume.port", "filer.port", "s3.port")
_KEYS = {"AWS_ACCESS_KEY_ID": "otarium", "AWS_SECRET_ACCESS_KEY": "of the tests"}


@contextmanager
def running_seaweed() -> Iterator[dict[str, str]]:
    """What reaches it, with a bucket `packages`, as variables of the environment."""
    ports = {f"{name}{kind}": free_port() for name in _PORTS for kind in ("", ".grpc")}
    with TemporaryDirectory(prefix="otarium-s3-") as name:
        command = [_COMMAND, "server", "-s3", "-filer", f"-dir={name}", "-ip=127.0.0.1"]
        command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
        command += ["-master.volumeSizeLimitMB=256", "-volume.max=0"]  # as many as the disk takes
        command += [f"-{port}={number}" for port, number in ports.items()]
        log = Path(name, "log")
        with log.open("wb") as output:
            store = subprocess.Popen(command, env=_KEYS, cwd=name, stdout=output, stderr=output)
        try:
            reached = {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports['s3.port']}",
                "AWS_ALLOW_HTTP": "true",
                "AWS_REGION": "us-east-1",
                **_KEYS,
            }
            _wait_for(store, reached, log)
            yield reached
        finally:
            store.kill()  # it takes half a minute to stop, and nobody needs what it has
            store.wait(_SECONDS)


def options(reached: Mapping[str, str]) -> dict[str, str]:
    """The same as obstore's options."""
    names = ("endpoint_url", "region", "access_key_id", "secret_access_key")
    return {name: reached[f"AWS_{name.upper()}"] for name in names}


def _wait_for(store: "subprocess.Popen[bytes]", reached: Mapping[str, str], log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and store.poll() is None:
        with suppress(BaseError):
            # It makes a bucket for the first object in it.
            bucket = S3Store("packages", config=options(reached), client_options={"allow_http": True})
            obstore.put(bucket, "first", b"")
            obstore.delete(bucket, "first")
            return
        time.sleep(0.1)
    raise RuntimeError(f"SeaweedFS did not start: {log.read_text()[-2000:]}")
