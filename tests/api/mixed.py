"""Own packages and those of three sources, and the list that plain Python makes of them: the oracle.

Sources share ids and times with each other and with our own packages.
"""

from dataclasses import dataclass, field
from typing import Any

from api.listing import SBOM, one_of
from api.sources import Feed, add, done, feed
from harness import Server, http, upload
from publisher import Host, target

SOURCES = ["zoo", "Alpha", "mid-1.x"]
SHARED = 100
TIMES = ["2026-01-02T03:04:05Z", "2026-01-02T03:04:06Z", "2025-12-31T23:59:59Z"]
PACKAGE_KEYS = {
    *("name", "version", "packageId", "size", "hashes", "packageSource", "pkgType", "hardwareIds"),
    *("createdAt", "uri", "proprietaryMeta", "comment"),
}
OF_TARGETS = {"name", "version", "hardwareIds", "targetFormat", "createdAt", "updatedAt", "uri"}


def listed(source: str, targets: Any) -> list[Any]:
    """As /api/v2beta/packages shows well-formed targets."""
    return [
        {
            "name": entry["custom"]["name"],
            "version": entry["custom"]["version"],
            "packageId": package_id,
            "size": entry["length"],
            "hashes": {"sha256": entry["hashes"]["sha256"]},
            "packageSource": f"{source}.json",
            "pkgType": entry["custom"]["targetFormat"],
            "hardwareIds": entry["custom"]["hardwareIds"],
            "createdAt": entry["custom"]["createdAt"],
            "uri": entry["custom"].get("uri"),
            "proprietaryMeta": {k: v for k, v in entry["custom"].items() if k not in OF_TARGETS} or None,
            "comment": None,
        }
        for package_id, entry in targets.items()
    ]


@dataclass
class Mixed:
    server: Server
    host: Host
    packages: list[Any] = field(default_factory=list)
    feeds: dict[str, Feed] = field(default_factory=dict)

    def fill(self) -> None:
        for version in ("1", "2"):
            self.packages += [upload(self.server, name, version, name.encode()) for name in ("app", "zz/own")]
        times = [*TIMES, self.packages[0]["createdAt"]]
        for number, name in enumerate(SOURCES):
            targets = self._targets(name, number, times)
            made = self.feeds[name] = feed(self.host, name, targets, paths=["*"])
            shown = add(self.server, made, acceptOverlap=True)
            assert (shown["state"], shown["leftOut"]) == ("fresh", [])
            self.packages += listed(name, targets)

    def _targets(self, name: str, number: int, times: list[str]) -> Any:
        """Some that every source has, some of its own, and one with an id of ours."""
        made: Any = {}
        for count in range(SHARED):
            hardware_ids = [f"board {count % 3}", f"only-{name}"][: 1 + count % 2]
            body = b"same" if count % 2 else f"{name} {count}".encode()
            time = times[(count + (number if count % 5 == 0 else 0)) % 4]
            made |= target(f"shared/{count % 40:03}-{count // 40}", body, hardware_ids, createdAt=time)
        uri = f"https://example.com/{name}"
        made |= target(f"{name}/Os-1", createdAt=times[0], uri=uri, targetFormat="OSTREE")
        made |= target(f"{name}/Ünï-2", createdAt=times[3], **SBOM)
        return made | target("app-1", b"theirs", createdAt=times[3], note={"of": name})

    def expected(self, query: dict[str, Any], *, external: bool = False) -> tuple[list[Any], int]:
        """The values of the page and the total."""
        direction, sort_by = query.get("sortDirection", "Desc"), query.get("sortBy", "CreatedAt")

        def place(one: Any) -> tuple[str, str, str]:
            created = one["createdAt"] if sort_by == "CreatedAt" else ""
            return created, one["packageId"], one["packageSource"].removesuffix(".json")

        found = [one for one in self.packages if matches(one, query)]
        if external:
            found = [one for one in found if one["packageSource"] != "targets.json"]
        found.sort(key=place, reverse=direction == "Desc")
        offset = query.get("offset", 0)
        return found[offset : offset + query.get("limit", 50)], len(found)


def matches(package: Any, query: dict[str, Any]) -> bool:
    has_sbom = bool((package["proprietaryMeta"] or {}).get("supplyChainInfo"))
    sources = [f"{one.removesuffix('.json')}.json" for one in query.get("packageSource", ())]
    return (
        query.get("nameContains", "").casefold() in package["name"].casefold()
        and query.get("idContains", "").casefold() in package["packageId"].casefold()
        and query.get("name", package["name"]) == package["name"]
        and query.get("version", package["version"]) == package["version"]
        and query.get("hasSBOM", has_sbom) == has_sbom
        and (not sources or package["packageSource"] in sources)
        and one_of(query, "hashes", package["hashes"].values())
        and one_of(query, "packageIds", [package["packageId"]])
        and one_of(query, "hardwareIds", package["hardwareIds"])
    )


def page_of(server: Server, query: str, path: str = "/api/v2beta/packages") -> Any:
    return done(http(server, "GET", f"{path}?{query}"))


def as_external(package: Any) -> Any:
    """As /packages_external shows it."""
    named = {"packageSource": "delegationOrigin"}
    return {named.get(name, name): value for name, value in package.items() if name != "comment"}
