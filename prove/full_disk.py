"""The disk fills up: first by uploads, which stop at the reserve, then by somebody else, to the last byte.

Uploads are refused and leave nothing; what is signed stays served, and is renewed as long as the reserve
lasts; when space comes back, uploads work again without a restart.
"""

import threading
import time
from collections import Counter
from http.client import HTTPException
from pathlib import Path

from harness import Answer, Server, http, running_server
from prove.calls import body_of, download, listed, post_package, sha256
from prove.claims import Setup, claim
from prove.disk import free_bytes, small_disk, take, take_everything

MIB = 1024 * 1024
DISK = 300 * MIB
BALLAST = 64 * MIB
PACKAGE = 8 * MIB
UPLOADERS = 4
LIFETIME = 16
HARD_SECONDS = 8
RECOVERY_SECONDS = 30
OPTIONS = {"OTARIUM_TIMESTAMP_LIFETIME": str(LIFETIME)}
DEVICE_FILES = ("timestamp.json", "snapshot.json", "targets.json", "root.json")


def prove(setup: Setup) -> list[str]:
    with small_disk(setup.directory / "disk", DISK) as disk:
        take(disk / "ballast", BALLAST)
        with running_server(disk / "data", env=OPTIONS) as server:
            facts = [*_filled_by_uploads(server, disk), *_filled_to_the_last_byte(server, disk)]
            facts.append(_recovered(server))
            verified = server.run("verify", check=False)
            claim(verified.returncode == 0, f"otarium verify: {verified.stdout} {verified.stderr}")
    return facts


def _filled_by_uploads(server: Server, disk: Path) -> list[str]:
    counts = _upload_until_refused(server)
    claim(set(counts) == {200, 507}, f"uploads were answered {dict(counts)}")
    staged = list((disk / "data" / "blobs" / "staging").iterdir())
    claim(not staged, f"{len(staged)} temporary files are left in staging")
    free = free_bytes(disk) // MIB
    seconds = _seconds_to_a_new_timestamp(server)
    return [
        f"{counts[200]} uploads went in, {counts[507]} got 507 with {free} MiB left; nothing left in staging",
        f"a new timestamp was signed {seconds:.1f} s after that",
    ]


def _upload_until_refused(server: Server) -> Counter[int]:
    statuses: list[int] = []

    def run(thread: int) -> None:
        for number in range(2 * DISK // PACKAGE):
            body = body_of(f"fill {thread} {number}", PACKAGE)
            status = post_package(server, f"fill-{thread}", str(number), body).status
            statuses.append(status)
            if status != 200:
                return

    threads = [threading.Thread(target=run, args=(number,)) for number in range(UPLOADERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(statuses)


def _version(server: Server) -> int:
    return http(server, "GET", "/repo/timestamp.json", token=None).json["signed"]["version"]


def _seconds_to_a_new_timestamp(server: Server) -> float:
    before, started = _version(server), time.monotonic()
    while _version(server) == before:
        claim(time.monotonic() < started + LIFETIME, "no new timestamp was signed while the disk was full")
        time.sleep(0.1)
    return time.monotonic() - started


def _filled_to_the_last_byte(server: Server, disk: Path) -> list[str]:
    """Somebody else takes the reserve. Devices never seen before ask as well."""
    known = sorted(listed(server))
    take_everything(disk / "foreign")
    until, rounds, refused = time.monotonic() + HARD_SECONDS, 0, Counter[int]()
    while time.monotonic() < until:
        rounds += 1
        for file in DEVICE_FILES:
            _require(server, f"/repo/{file}", f"127.1.{rounds % 250}.{1 + rounds % 250}")
            _require(server, f"/tuf/{file}", None) if file in ("timestamp.json", "root.json") else None
        body = body_of("fill 0 0", PACKAGE)
        claim(sha256(download(server, "fill-0-0").body) == sha256(body), "a package has other bytes")
        refused[_refused(post_package(server, "too-much", str(rounds), b"x" * 1024))] += 1
        claim(sorted(listed(server)) == known, "the list changed")
        take_everything(disk / "foreign")
        time.sleep(0.05)
    staged = list((disk / "data" / "blobs" / "staging").iterdir())
    claim(not staged, f"{len(staged)} temporary files are left in staging")
    ready = http(server, "GET", "/health/ready", token=None).status
    (disk / "foreign").unlink()
    (disk / "ballast").unlink()
    return [
        f"0 bytes left for {HARD_SECONDS} s: {rounds} rounds of devices, downloads and lists served,"
        f" uploads refused {dict(refused)}, readiness {ready}"
    ]


def _require(server: Server, path: str, source: str | None) -> None:
    try:
        answer = http(server, "GET", path, token=None, source=source)
    except (OSError, HTTPException) as error:
        claim(False, f"GET {path} with 0 bytes left: {error!r}; the log ends:\n{server.log_tail(1000)}")
    claim(answer.status == 200, f"GET {path} with 0 bytes left: {answer.status} {answer.body[:200]!r}")


def _refused(answer: Answer) -> int:
    claim(answer.status in (503, 507), f"an upload with 0 bytes left: {answer.status}")
    claim("retry-after" in answer.headers, f"{answer.status} without Retry-After")
    return answer.status


def _recovered(server: Server) -> str:
    started, number = time.monotonic(), 0
    while (answer := post_package(server, "after", str(number), b"room again")).status != 200:
        claim(time.monotonic() < started + RECOVERY_SECONDS, f"still {answer.status} {answer.body[:200]!r}")
        time.sleep(0.2)
        number += 1
    took = time.monotonic() - started
    ready = http(server, "GET", "/health/ready", token=None)
    claim(ready.status == 200, f"not ready after it recovered: {ready.body!r}")
    return f"an upload worked {took:.1f} s after the space came back, and the server is ready"
