"""Suppliers whose lists a server carries, and clients of both dialects behind one word: `follow`."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import pytest

from api.sources import call, done
from harness import Answer, Server, http, running_server
from judges import tuf_js, tuf_ngclient
from judges.uptane import UptaneDevice
from judges.uptane_errors import NotMatching
from judges.uptane_transport import HttpFetch
from publisher import Host, Publisher, serving, target

HARDWARE = "hw"
OVERLAP = {"Otarium-Accept-Overlap": "true"}
BOTH = ("uptane", "tuf")


@dataclass
class Supplier:
    """A publisher whose lists, in one dialect or both, and packages are on a web host."""

    host: Host
    publisher: Publisher
    lists: tuple[str, ...] = ("uptane",)
    raw: dict[str, bytes] = field(default_factory=dict)
    """What was published last, by dialect."""

    @property
    def name(self) -> str:
        return self.publisher.name

    def path(self, dialect: str) -> str:
        return f"/{self.name}.{dialect}.json"

    def publish(self, *packages: str, version: int = 1, **members: Any) -> None:
        targets = {id_: entry for one in packages for id_, entry in self.package(one).items()}
        for dialect in self.lists:
            make = self.publisher.uptane if dialect == "uptane" else self.publisher.tuf
            self.put(dialect, make(targets, version, **members))

    def put(self, dialect: str, raw: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.raw[dialect] = raw
        self.host.put(self.path(dialect), raw, headers)

    def package(self, package_id: str, **custom: Any) -> dict[str, Any]:
        """An entry whose bytes are on the host."""
        body = bytes_of(self.name, package_id)
        at = f"/{self.name}/{hashlib.sha256(body).hexdigest()}"
        self.host.put(at, body)
        more = {"uri": self.host.url + at} | custom
        return target(package_id, body, (HARDWARE,), **more)

    def bundle(self, **more: Any) -> dict[str, Any]:
        urls = [self.host.url + self.path(dialect) for dialect in self.lists]
        second = {"tufFetchUrl": urls[1]} if len(urls) == 2 else {}
        return self.publisher.bundle(urls[0], insecure=True, **second) | more

    def add(self, server: Server, **more: Any) -> Any:
        """The source as the answer shows it."""
        return done(call(server, "POST", body=self.bundle(**more)))

    def refresh(self, server: Server) -> Answer:
        return call(server, "POST", f"/{self.name}/refresh")


def bytes_of(publisher: str, package_id: str) -> bytes:
    return f"{package_id} of {publisher}".encode()


def supplier(
    host: Host, name: str, *packages: str, lists: tuple[str, ...] = ("uptane",), **more: Any
) -> Supplier:
    """Its list is published, with one package where none are named; `more` is about its publisher."""
    made = Supplier(host, Publisher(name, **more), lists)
    made.publish(*(packages or (f"{name}/os-1.0",)))
    return made


@contextmanager
def carrier(data_dir: Path, workers: int = 1, **env: str) -> Iterator[tuple[Server, Host]]:
    """A server, and a host for its suppliers."""
    with serving() as host, running_server(data_dir, env=env, workers=workers) as server:
        yield server, host


class Client(Protocol):
    def follow(self, *names: str) -> dict[str, bytes]:
        """Refresh, with what is remembered from before, and download those of these that are found."""
        ...


@dataclass
class UptaneClient:
    device: UptaneDevice

    def follow(self, *names: str) -> dict[str, bytes]:
        self.device.refresh()
        found = {}
        for name in names:
            try:
                self.device.find(name)
            except NotMatching:
                continue
            found[name] = self.device.download(name)
        return found


@dataclass
class TufClient:
    judge: ModuleType
    url: str
    state: Path
    root: bytes = b""

    def follow(self, *names: str) -> dict[str, bytes]:
        self.root = self.root or tuf_ngclient.first_root(self.url)
        found = self.judge.follow(self.url, self.root, self.state, names).targets
        return {name: one.body for name, one in found.items()}


JUDGES = ("uptane", "python-tuf", "tuf-js")
every_client = pytest.mark.parametrize("judge", JUDGES)


def client(
    judge: str, server: Server, state: Path, *, strict: bool = True, source: str | None = None
) -> Client:
    """`source`: the address from which a device comes."""
    if judge == "uptane":
        return UptaneClient(UptaneDevice(server.repo, HARDWARE, fetch=HttpFetch(source), strict=strict))
    return TufClient(tuf_ngclient if judge == "python-tuf" else tuf_js, server.tuf, state / judge)


def device_get(server: Server, path: str, method: str = "GET", **headers: str) -> Answer:
    """From an address that takes no timestamps, so plain names are those of the newest release."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return http(server, method, path, headers=sent, token=None, source="127.0.0.99")


def delegations(server: Server, dialect: str) -> dict[str, Any]:
    """The member of targets.json; empty where there is none."""
    found = json.loads(device_get(server, f"/{dialect}/targets.json").body)["signed"].get("delegations")
    return found or {"keys": {}, "roles": []}


def role_of(server: Server, dialect: str, name: str) -> Any:
    """The delegation to a source with its keys in it; None where there is none."""
    found = delegations(server, dialect)
    for role in found["roles"]:
        if role["name"] == name:
            return role | {"keys": {key_id: found["keys"][key_id] for key_id in role["keyids"]}}
    return None


def snapshot_lines(server: Server, dialect: str) -> dict[str, Any]:
    """By source."""
    meta = json.loads(device_get(server, f"/{dialect}/snapshot.json").body)["signed"]["meta"]
    return {name.removesuffix(".json"): line for name, line in meta.items() if name != "targets.json"}
