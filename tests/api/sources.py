"""External package sources over the API, and what a change of one leaves of the others."""

import json
import time
from dataclasses import dataclass
from typing import Any

from api.calls import JSON_BODY
from harness import Answer, Server, http
from publisher import Host, Publisher, target

SOURCES = "/api/otarium/v1/sources"
STARTED = time.time()


@dataclass
class Feed:
    """A publisher whose list is at one place of a host."""

    publisher: Publisher
    host: Host

    @property
    def name(self) -> str:
        return self.publisher.name

    @property
    def path(self) -> str:
        return f"/{self.name}.json"

    @property
    def url(self) -> str:
        return self.host.url + self.path

    @property
    def requests(self) -> int:
        return self.host.requests[self.path]

    def publish(self, targets: Any, version: int = 1, dialect: str = "repo", **more: Any) -> bytes:
        make = self.publisher.uptane if dialect == "repo" else self.publisher.tuf
        raw = make(targets, version, **more)
        self.host.put(self.path, raw)
        return raw

    def bundle(self, name: str | None = None, **more: Any) -> Any:
        """`name` is the local one, where that is another."""
        made = self.publisher.bundle(self.url, insecure=True) | more
        if name is not None:
            made["delegationMetadata"] = made["delegationMetadata"] | {"name": name}
        return made


def feed(host: Host, name: str, targets: Any = None, version: int = 1, **more: Any) -> Feed:
    """Already published, with one package where none are given; the same bytes whenever it is made."""
    made = Feed(Publisher(name, now=lambda: STARTED, **more), host)
    made.publish(target(f"{name}/os-1.0") if targets is None else targets, version)
    return made


def call(server: Server, method: str, place: str = "", body: Any = None, token: str | None = "") -> Answer:
    """A call of the administration: `place` is "", "/NAME" or "/NAME/refresh"."""
    raw = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    headers = {} if raw is None else JSON_BODY
    return http(server, method, SOURCES + place, body=raw, headers=headers, token=token)


def done(answer: Answer) -> Any:
    assert answer.status == 200, answer.body[:1000]
    return answer.json if answer.body else None


def add(server: Server, made: Feed, **more: Any) -> Any:
    """The source as the answer shows it."""
    return done(call(server, "POST", body=made.bundle(**more)))


def show(server: Server, name: str) -> Any:
    return done(call(server, "GET", f"/{name}"))


def every(server: Server) -> list[str]:
    """The names, in order."""
    return [one["name"] for one in done(call(server, "GET"))["values"]]


def edit(server: Server, name: str, **members: Any) -> Any:
    return done(call(server, "PATCH", f"/{name}", members))


def remove(server: Server, name: str) -> None:
    done(call(server, "DELETE", f"/{name}"))


def remove_all(server: Server) -> None:
    for name in every(server):
        remove(server, name)


def refresh(server: Server, name: str, base: str = "/api/v2beta", **more: Any) -> Answer:
    return http(server, "GET", f"{base}/packages_external/refresh/{name}", **more)


def info(server: Server, base: str = "/api/v2") -> Any:
    return done(http(server, "GET", f"{base}/packages_external/info"))


def served(server: Server, name: str, dialect: str = "repo") -> bytes:
    """The publisher's file, as devices get it."""
    place = "delegations/" if dialect == "repo" else ""
    answer = http(server, "GET", f"/{dialect}/{place}{name}.json", token=None)
    assert answer.status == 200, answer.body
    return answer.body


def signed(server: Server, role: str, dialect: str = "repo") -> Any:
    return json.loads(http(server, "GET", f"/{dialect}/{role}.json", token=None).body)["signed"]


def delegated(server: Server, dialect: str = "repo") -> dict[str, Any]:
    """The roles of targets.json by name, in the order in which they stand there."""
    roles = signed(server, "targets", dialect).get("delegations", {}).get("roles", [])
    return {role["name"]: role for role in roles}


def line(server: Server, name: str) -> Any:
    """What the snapshot says of a source."""
    return signed(server, "snapshot")["meta"].get(f"{name}.json")


def rows(server: Server, name: str) -> list[Any]:
    """The packages of one source, as /packages lists them."""
    return list(done(http(server, "GET", f"/api/v2/packages?packageSource={name}&limit=1000"))["values"])


def state_of(server: Server, name: str) -> Any:
    """All that is said and served of one source."""
    return show(server, name), delegated(server).get(name), line(server, name), rows(server, name)
