"""Requests whose refusal is an answer, too: nothing here looks at the status."""

import hashlib
import random
from urllib.parse import quote

from harness import Answer, Server, http

_NOISE = random.Random(0).randbytes(16 * 1024 * 1024)


def body_of(label: str, length: int) -> bytes:
    """Bytes that no other label gives, made quickly."""
    return (label.encode() + b"\n" + _NOISE)[:length]


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def post_package(server: Server, name: str, version: str, body: bytes) -> Answer:
    query = f"name={quote(name)}&version={quote(version)}&hardwareId=docker-compose&targetFormat=BINARY"
    kind = {"Content-Type": "application/octet-stream"}
    return http(server, "POST", f"/api/v2beta/packages?{query}", body=body, headers=kind)


def is_refused_for_now(answer: Answer) -> bool:
    """503, and when to come again."""
    return answer.status == 503 and int(answer.headers.get("retry-after", 0)) > 0


def download(server: Server, package_id: str) -> Answer:
    return http(server, "GET", f"/repo/targets/{quote(package_id)}", token=None)


def listed(server: Server) -> dict[str, dict[str, object]]:
    """Every package of the repository by its id."""
    answer = http(server, "GET", "/api/v2beta/packages?limit=1000000")
    if answer.status != 200:
        raise RuntimeError(f"{answer.status} instead of a list: {answer.body[:300]!r}")
    return {package["packageId"]: package for package in answer.json["values"]}
