"""External packages as devices get them: the publishers' bytes, found and downloaded by every client."""

import hashlib
import json
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import pytest

from api.sources import done
from device.external import (
    BOTH,
    bytes_of,
    carrier,
    client,
    delegations,
    device_get,
    every_client,
    role_of,
    snapshot_lines,
    supplier,
)
from judges.uptane_canonical import canonical
from publisher import Publisher, target

STATED = 1_772_600_767
TUF_CLIENTS = {"python-tuf", "tuf-js"}


@dataclass(frozen=True)
class Kind:
    reaches: set[str]
    lists: tuple[str, ...] = ("uptane",)
    publisher: dict[str, Any] = field(default_factory=dict)

    @property
    def vouch(self) -> bool:
        return "tuf" not in self.lists and bool(TUF_CLIENTS & self.reaches)


EVERYBODY = TUF_CLIENTS | {"uptane"}
KINDS = {
    "vouched": Kind(EVERYBODY),
    "uptane-alone": Kind({"uptane"}),
    "tuf-alone": Kind(TUF_CLIENTS, ("tuf",)),
    "both": Kind(EVERYBODY, BOTH),
    "rsa-vouched": Kind(EVERYBODY, publisher={"kind": "rsa"}),
    "rsa-both": Kind(EVERYBODY, BOTH, {"kind": "rsa", "bits": 3072, "rule": "tuf"}),
    "ecdsa": Kind(TUF_CLIENTS, ("tuf",), {"kind": "ecdsa", "rule": "tuf"}),
    "two-of-three": Kind(EVERYBODY, BOTH, {"keys": 3, "threshold": 2}),
    "two-vouched": Kind(EVERYBODY, publisher={"keys": 2, "threshold": 2}),
    "spki": Kind(EVERYBODY, BOTH, {"rule": "spki"}),
    "pretty": Kind(EVERYBODY),
    "v2024.1-dots": Kind(EVERYBODY),
}
"""By name."""
every_kind = pytest.mark.parametrize("name", KINDS)


@pytest.fixture(scope="module")
def carried(tmp_path_factory):
    """A server of two workers and its host."""
    with carrier(tmp_path_factory.mktemp("sources") / "data", workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def suppliers(carried):
    """One of each kind, added."""
    server, host = carried
    made = {
        name: supplier(host, name, f"{name}/os-1.0", f"{name}/größe-1", lists=kind.lists, **kind.publisher)
        for name, kind in KINDS.items()
    }
    pretty = json.loads(made["pretty"].raw["uptane"])
    made["pretty"].put("uptane", json.dumps(pretty, indent=2, ensure_ascii=False).encode())
    for one in made.values():
        stated = {dialect: {"Last-Modified": formatdate(STATED, usegmt=True)} for dialect in one.lists}
        for dialect in one.lists:
            one.put(dialect, one.raw[dialect], stated[dialect])
        shown = one.add(server, vouch=KINDS[one.name].vouch)
        assert (shown["state"], shown["problem"]) == ("fresh", None), one.name
    return made


@every_client
@every_kind
def test_a_package_is_found_and_downloaded_by_those_that_its_lists_reach(
    carried, suppliers, tmp_path, name, judge
):
    every = {one: bytes_of(name, one) for one in (f"{name}/os-1.0", f"{name}/größe-1")}
    found = client(judge, carried[0], tmp_path, strict=name != "pretty").follow(*every, f"{name}/none-1")
    assert found == (every if judge in KINDS[name].reaches else {})


@every_client
def test_bytes_are_looked_for_below_the_targets_url_where_the_list_names_no_place(carried, tmp_path, judge):
    server, host = carried
    one = supplier(host, f"place-{judge}")
    package_id = f"{one.name}/é +~%41-2"
    bare = target(package_id, b"elsewhere", ["hw"]) | target(
        f"{one.name}/unset-1", b"e", ["hw"], "https://example.com/"
    )
    host.put(f"/at/{one.name}/%C3%A9%20%2B~%2541-2", b"elsewhere")
    host.put(f"/at/{one.name}/unset-1", b"e")
    one.put("uptane", one.publisher.uptane(bare))
    one.add(server, vouch=True, targetsUrl=host.url + "/at/")
    found = client(judge, server, tmp_path).follow(package_id, f"{one.name}/unset-1")
    assert found == {package_id: b"elsewhere", f"{one.name}/unset-1": b"e"}


@pytest.mark.parametrize("judge", sorted(TUF_CLIENTS))
@pytest.mark.parametrize("first", ["sha512", "md5"])
def test_bytes_are_found_whichever_hash_an_entry_names_first(carried, tmp_path, first, judge):
    """TUF clients ask for the first one."""
    server, host = carried
    one = supplier(host, f"{first}-{judge}", lists=("tuf",) if first == "sha512" else ("uptane",))
    entry = one.package(f"{one.name}/os-1")
    [(package_id, stated)] = entry.items()
    digest = hashlib.new(first, bytes_of(one.name, package_id)).hexdigest()
    stated["hashes"] = {first: digest, **stated["hashes"]}
    make = one.publisher.tuf if first == "sha512" else one.publisher.uptane
    one.put(one.lists[0], make(entry))
    one.add(server, vouch=True)
    assert client(judge, server, tmp_path).follow(package_id) == {package_id: bytes_of(one.name, package_id)}


def test_a_name_that_spoils_the_order_of_keys_for_a_client_spoils_no_other(carried, tmp_path):
    """tuf-js sorts by UTF-16 units, everybody else by code points."""
    server, host = carried
    one = supplier(host, "astral", "astral/\U0001f600-1", "astral/\uffee-1", "astral/os-1")
    one.add(server, vouch=True)
    for judge in ("uptane", "python-tuf", "tuf-js"):
        known = client(judge, server, tmp_path, strict=False)
        assert known.follow("astral/os-1", "astral/none-1") == {
            "astral/os-1": bytes_of("astral", "astral/os-1")
        }


def named(kinds: str) -> Any:
    return pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kinds in kind.lists])


@named("uptane")
def test_the_uptane_file_is_the_publishers_byte_for_byte(carried, suppliers, name):
    raw = suppliers[name].raw["uptane"]
    for path in (f"/repo/delegations/{name}.json", f"/repo/1.{name}.json"):
        answer = device_get(carried[0], path)
        assert (answer.status, answer.body) == (200, raw)
        assert answer.headers["etag"] == f'"{hashlib.sha256(raw).hexdigest()}"'
        assert answer.headers["last-modified"] == formatdate(STATED, usegmt=True)
    line = snapshot_lines(carried[0], "repo")[name]
    listed = hashlib.sha256(canonical(json.loads(raw))).hexdigest()
    assert line == {"hashes": {"sha256": listed}, "length": len(raw), "version": 1}


@named("tuf")
def test_the_tuf_file_is_the_publishers_byte_for_byte(carried, suppliers, name):
    raw = suppliers[name].raw["tuf"]
    for path in (f"/tuf/1.{name}.json", f"/tuf/{name}.json"):
        assert device_get(carried[0], path).body == raw
    listed = hashlib.sha256(raw).hexdigest()
    line = snapshot_lines(carried[0], "tuf")[name]
    assert line == {"hashes": {"sha256": listed}, "length": len(raw), "version": 1}


@pytest.mark.parametrize("path", ["/repo/delegations/pretty.json", "/repo/1.both.json", "/tuf/1.both.json"])
def test_head_tells_what_get_would_and_a_condition_saves_the_body(carried, suppliers, path):
    server = carried[0]
    whole, head = device_get(server, path), device_get(server, path, "HEAD")
    assert (head.status, head.body) == (200, b"")
    for header in ("content-length", "content-type", "etag", "last-modified", "cache-control"):
        assert head.headers[header] == whole.headers[header], header
    conditions = [{"If_None_Match": whole.headers["etag"]}, {"If_None_Match": "*"}]
    conditions += [{"If_Modified_Since": formatdate(STATED + more, usegmt=True)} for more in (0, 60)]
    for condition in conditions:
        answer = device_get(server, path, **condition)
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", whole.headers["etag"])
    earlier = formatdate(STATED - 1, usegmt=True)
    for condition in (
        {"If_Modified_Since": earlier},
        {"If_None_Match": '"x"'},
        {"If_None_Match": '"x"', "If_Modified_Since": formatdate(STATED, usegmt=True)},
    ):
        assert device_get(server, path, **condition).status == 200, condition


def test_versioned_names_stay_for_ever_and_the_plain_one_is_the_newest(carried):
    server, host = carried
    one = supplier(host, "versions", lists=BOTH)
    one.add(server)
    first = dict(one.raw)
    one.publish("versions/os-2", version=7)
    done(one.refresh(server))
    for dialect, prefix in (("uptane", "repo"), ("tuf", "tuf")):
        old, new = (device_get(server, f"/{prefix}/{version}.versions.json") for version in (1, 7))
        assert (old.body, new.body) == (first[dialect], one.raw[dialect])
        assert "immutable" in old.headers["cache-control"] and "immutable" in new.headers["cache-control"]
        for missing in (2, 8):
            assert device_get(server, f"/{prefix}/{missing}.versions.json").status == 404
    plain = device_get(server, "/repo/delegations/versions.json")
    assert (plain.body, plain.headers["cache-control"]) == (one.raw["uptane"], "no-cache")


def test_each_dialect_delegates_to_the_sources_that_it_can_carry(carried, suppliers):
    for dialect, absent in (("repo", {"tuf-alone", "ecdsa"}), ("tuf", {"uptane-alone"})):
        listed = {role["name"] for role in delegations(carried[0], dialect)["roles"]}
        assert listed & set(KINDS) == set(KINDS) - absent
        assert set(snapshot_lines(carried[0], dialect)) & absent == set()


def test_a_delegation_names_the_publishers_keys_as_its_dialect_reads_them(carried, suppliers):
    for dialect, name, kind in (
        ("repo", "two-of-three", "ed25519"),
        ("tuf", "two-of-three", "ed25519"),
        ("repo", "rsa-both", "rsa"),
        ("tuf", "ecdsa", "ecdsa"),
    ):
        role, publisher = role_of(carried[0], dialect, name), suppliers[name].publisher
        assert (role["paths"], role["threshold"]) == (publisher.paths, publisher.threshold)
        stated = {key.key_id: key.public for key in publisher.keys}
        assert {key_id: key["keyval"]["public"] for key_id, key in role["keys"].items()} == stated
        assert {key["keytype"] for key in role["keys"].values()} == {kind}
        assert all(key["scheme"] for key in role["keys"].values())


def test_no_key_of_a_kind_that_devices_refuse_is_among_theirs(carried, tmp_path):
    """One such key would make them refuse our whole targets."""
    server, host = carried
    one = supplier(host, "mixed-keys", lists=BOTH)
    one.publisher.keys += Publisher("mixed-keys", kind="ecdsa", rule="tuf").keys
    one.put("tuf", one.publisher.tuf(one.package("mixed-keys/os-1.0")))
    one.add(server)
    assert {key["keytype"] for key in delegations(server, "repo")["keys"].values()} <= {"ed25519", "rsa"}
    assert len(role_of(server, "repo", "mixed-keys")["keyids"]) == 1
    assert len(role_of(server, "tuf", "mixed-keys")["keyids"]) == 2
    for judge in sorted(EVERYBODY):
        assert "mixed-keys/os-1.0" in client(judge, server, tmp_path).follow("mixed-keys/os-1.0")
