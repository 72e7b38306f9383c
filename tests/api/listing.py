"""A repository of odd packages, and the list that a plain Python program makes of it: the oracle."""

import itertools
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, quote_plus

from api.calls import patch
from harness import Server, add_reference, upload

NAMES = [
    "app",
    "App",
    "APP 2",
    "a%b",
    "a_b",
    "a.b*c[d]",
    "net/edge,1",
    "net/edge",
    "ünï",
    "ÜNÏ-x",
    "Жук",
    "жук/é",
    "+plus",
    "Z",
    "ﬀ~",
]
HARDWARE = ["docker-compose", "a,b", "a", "b", "verdin imx8mp", "Verdin"]
BODIES = [b"one", b"two", b"three"]
SBOM = {"supplyChainInfo": {"cyclonedx+vex": {"url": "https://example.com/sbom"}}}
LISTS = ("packageSource", "hardwareIds", "hashes", "packageIds")


@dataclass
class Shelf:
    server: Server
    packages: list[Any] = field(default_factory=list)

    def fill(self) -> None:
        """Packages of four different seconds, so that some share their createdAt and others do not."""
        for count, (name, version) in enumerate(itertools.product(NAMES, ["1", "1.0", "b-1"])):
            if count % 12 == 11:
                time.sleep(1.05)
            hardware_ids = [one for bit, one in enumerate(HARDWARE) if count * 7 >> bit & 1]
            package = upload(self.server, name, version, BODIES[count % 3], hardware_ids)
            if count % 10 == 3:
                package = patch(self.server, package["packageId"], {"proprietaryMeta": SBOM}).json
            self.packages.append(package)
        commit = {"sha256": "a" * 64, "length": 0, "uri": "https://example.com/ostree"}
        made = add_reference(self.server, name="os/image", version="1", targetFormat="OSTREE", **commit)
        assert made.status == 200, made.body
        self.packages.append(made.json)

    def page(self, query: dict[str, Any]) -> tuple[list[Any], int]:
        """The values of the page and the total that `query` must be answered with."""
        found = sorted(
            (one for one in self.packages if matches(one, query)),
            key=lambda one: (
                one["createdAt"] if query.get("sortBy", "CreatedAt") == "CreatedAt" else "",
                one["packageId"],
            ),
            reverse=query.get("sortDirection", "Desc") == "Desc",
        )
        offset = query.get("offset", 0)
        return found[offset : offset + query.get("limit", 50)], len(found)


def matches(package: Any, query: dict[str, Any]) -> bool:
    sources = {one.removesuffix(".json") for one in query.get("packageSource", ())}
    has_sbom = bool((package["proprietaryMeta"] or {}).get("supplyChainInfo"))
    return (
        query.get("nameContains", "").casefold() in package["name"].casefold()
        and query.get("idContains", "").casefold() in package["packageId"].casefold()
        and query.get("name", package["name"]) == package["name"]
        and query.get("version", package["version"]) == package["version"]
        and query.get("hasSBOM", has_sbom) == has_sbom
        and (not sources or "targets" in sources)
        and one_of(query, "hashes", package["hashes"].values())
        and one_of(query, "packageIds", [package["packageId"]])
        and one_of(query, "hardwareIds", package["hardwareIds"])
    )


def one_of(query: dict[str, Any], name: str, values: Any) -> bool:
    asked = query.get(name)
    return not asked or not set(asked).isdisjoint(values)


def written(query: dict[str, Any], *, brackets: bool = False, plus: bool = False) -> str:
    """The query as clients write it: `key=` or `key[]=`, a space as %20 or as +."""
    encode = quote_plus if plus else quote
    pairs = []
    for name, value in query.items():
        for one in value if isinstance(value, list) else [value]:
            text = str(one).lower() if isinstance(one, bool) else str(one)
            key = name + "[]" if brackets and name in LISTS else name
            pairs.append(f"{key}={encode(text)}")
    return "&".join(pairs)
