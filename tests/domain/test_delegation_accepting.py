"""What is taken from publishers. Whatever is taken goes through a judge too: it is delegated to as in our
targets, and an Uptane device (ours) or python-tuf has to take it by that."""

import contextlib
import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tuf.api.metadata import Delegations, Metadata, Targets

from builders import NOW
from judges.uptane_canonical import canonical
from judges.uptane_errors import Malformed
from judges.uptane_keys import read_keys, trust_of
from judges.uptane_roles import read_role
from judges.uptane_targets import read_targets
from otarium.domain.delegating import delegations
from otarium.domain.delegation import HIGHEST_VERSION, Accepted, Delegation, SourceFile, accept
from otarium.domain.delegation import TARGETS as MOST_TARGETS
from otarium.domain.errors import SourceOutOfBounds, SourceRefused, SourceRolledBack
from otarium.domain.external import LeftOut
from otarium.domain.packages import TargetFormat
from otarium.domain.roles import Dialect
from otarium.domain.sources import Fetching, Source, parse_delegation
from publisher import OMIT, Publisher, target, when

VECTORS = Path(__file__).parents[1] / "judges" / "vectors"
ONE = target("tdx/os-1.0")
SUCCINCT = {"keys": {}, "succinct_roles": dict(keyids=[], threshold=1, bit_length=2, name_prefix="x")}
TARGET_MEMBERS = ("length", "hashes", "custom", "x")
RSA = (("rsa", 2048), ("rsa", 3072))


def publisher(**options: Any) -> Publisher:
    return Publisher("tdx", now=lambda: NOW, **options)


def trusted(one: Publisher) -> Delegation:
    bundle = one.bundle("https://example.com/tdx.json")
    return parse_delegation(bundle["keys"], bundle["delegationMetadata"])


def taken(
    raw: bytes,
    delegation: Delegation,
    last: Mapping[Dialect, SourceFile] | None = None,
    replaces: SourceFile | None = None,
) -> Accepted:
    accepted = accept(raw, delegation, last or {}, NOW, NOW - 5, replaces)
    judge(accepted, delegation)
    return accepted


def judge(accepted: Accepted, delegation: Delegation) -> None:
    file = accepted.file
    source = Source(delegation, Fetching("https://x"), 0, NOW, files={file.dialect: file})
    stated = delegations([source], file.dialect, NOW)
    if file.dialect is Dialect.UPTANE:
        trust = trust_of(stated["roles"][0], read_keys(stated["keys"], "ours"), "ours")
        role = read_role(accepted.raw, "theirs", "Targets", trust, strict=False)
        role.check_fresh(when(NOW))
        read_targets(role.signed, role.what)
        assert hashlib.sha256(role.canonical).hexdigest() == file.listed_sha256
    else:
        theirs = Metadata.from_bytes(accepted.raw)
        ours = Targets(delegations=Delegations.from_dict(copy.deepcopy(stated)))
        ours.verify_delegate(delegation.name, theirs.signed_bytes, theirs.signatures)
        assert file.listed_sha256 == hashlib.sha256(accepted.raw).hexdigest()


def signed_in(dialect: Dialect, one: Publisher, targets: dict[str, Any], **overrides: Any) -> bytes:
    return (one.uptane if dialect is Dialect.UPTANE else one.tuf)(targets, **overrides)


both = pytest.mark.parametrize("dialect", Dialect)
kinds = pytest.mark.parametrize(
    ("dialect", "kind", "bits"),
    [(Dialect.TUF, "ecdsa", 0), *((d, k, b) for d in Dialect for k, b in (("ed25519", 0), *RSA))],
)
rules = pytest.mark.parametrize("rule", ["uptane", "tuf", "spki"])


@kinds
@rules
def test_a_file_is_taken_whatever_its_key_and_the_rule_of_its_id(dialect, kind, bits, rule) -> None:
    one = publisher(kind=kind, bits=bits, rule=rule)
    raw = signed_in(dialect, one, ONE)
    accepted = taken(raw, trusted(one))
    assert (accepted.raw, accepted.file.dialect) == (raw, dialect)
    assert [package.id for package in accepted.packages] == ["tdx/os-1.0"]
    assert list(trusted(one).keys) == [one.keys[0].key_id]


@both
@pytest.mark.parametrize("salt", [0, 20, 32, 64, 222])
def test_an_rsa_signature_may_have_a_salt_of_any_length(dialect: Dialect, salt: int) -> None:
    one = publisher(kind="rsa")
    document = one.signed_by(one.keys, json.loads(signed_in(dialect, one, ONE))["signed"], dialect, salt)
    assert taken(json.dumps(document).encode(), trusted(one)).file.version == 1


@both
@pytest.mark.parametrize("signers", [(0, 1), (0, 2), (1, 2)], ids=str)
def test_any_two_of_three_keys_meet_a_threshold_of_two(dialect: Dialect, signers: tuple[int, int]) -> None:
    one = publisher(keys=3, threshold=2)
    delegation = trusted(one)
    one.keys = [one.keys[at] for at in signers]
    assert taken(signed_in(dialect, one, ONE), delegation).packages


@both
def test_signatures_by_unknown_keys_are_passed_over(dialect: Dialect) -> None:
    one, stranger = publisher(), Publisher("stranger", keys=31)
    delegation = trusted(one)
    one.keys = [*stranger.keys[:15], *one.keys, *stranger.keys[15:]]
    assert taken(signed_in(dialect, one, ONE), delegation).packages


@both
def test_a_useless_signature_by_a_trusted_key_is_made_up_for_by_the_others(dialect: Dialect) -> None:
    one = publisher(keys=3, threshold=2)
    document = json.loads(signed_in(dialect, one, ONE))
    in_no_encoding = "no signature, and no known encoding either"
    document["signatures"][1]["sig"] = in_no_encoding if dialect is Dialect.TUF else "AAAA"
    assert taken(json.dumps(document).encode(), trusted(one)).packages


def test_the_method_is_case_insensitive_and_does_not_choose_the_algorithm() -> None:
    one = publisher()
    document = json.loads(one.uptane(ONE))
    for method in ("ED25519", "RSASSA-PSS", "rsassa-pss-sha256"):
        document["signatures"][0]["method"] = method
        assert taken(json.dumps(document).encode(), trusted(one)).packages


@both
def test_hashes_of_other_kinds_may_stand_beside_the_sha256(dialect: Dialect) -> None:
    targets = target("tdx/os-1.0")
    targets["tdx/os-1.0"]["hashes"] |= {"sha512": "ab" * 64, "blake2b-256": "cd" * 32, "md5": "?"}
    one = publisher()
    accepted = taken(signed_in(dialect, one, targets), trusted(one))
    assert accepted.packages[0].content.sha256 == targets["tdx/os-1.0"]["hashes"]["sha256"]
    assert accepted.targets == targets


@both
def test_a_target_without_sha256_is_taken_for_devices_but_not_shown(dialect: Dialect) -> None:
    targets = target("tdx/os-1.0") | target("tdx/boot-2")
    targets["tdx/os-1.0"]["hashes"] = {"sha512": "ab" * 64}
    one = publisher()
    accepted = taken(signed_in(dialect, one, targets), trusted(one))
    assert [package.id for package in accepted.packages] == ["tdx/boot-2"]
    assert [left.target for left in accepted.left_out] == ["tdx/os-1.0"]


@both
def test_a_pretty_printed_file_is_taken_and_what_devices_hash_is_listed(dialect: Dialect) -> None:
    one = publisher()
    document = json.loads(signed_in(dialect, one, target("tdx/été-1.0", note='é 😀 " \\ \x7f / \n')))
    raw = json.dumps(document, indent=3, ensure_ascii=False).encode()
    file = taken(raw, trusted(one)).file
    assert (file.sha256, file.length) == (hashlib.sha256(raw).hexdigest(), len(raw))
    listed = canonical(document) if dialect is Dialect.UPTANE else raw
    assert file.listed_sha256 == hashlib.sha256(listed).hexdigest()


def test_the_nightly_vector_is_taken_by_the_delegation_of_its_targets() -> None:
    stated = json.loads((VECTORS / "targets.json").read_bytes())["signed"]["delegations"]
    delegation = parse_delegation(stated["keys"], stated["roles"][0])
    raw = (VECTORS / "tdx-nightly.json").read_bytes()
    accepted = taken(raw, delegation)
    assert accepted.file.listed_sha256 == accepted.file.sha256 == hashlib.sha256(raw).hexdigest()
    [package] = accepted.packages
    assert (package.source, package.name, accepted.file.version) == ("tdx-nightly", "os", 7)


@both
@pytest.mark.parametrize(
    "overrides",
    [
        {"delegations": {"keys": {}, "roles": []}},
        {"x-note": "é\x01", "custom": {"a": [None, True]}},
        {"version": HIGHEST_VERSION - 1},
        {"expires": when(NOW + 7200)},
        {"expires": "9999-12-31T23:59:59Z"},
        {"targets": {}},
    ],
    ids=["no delegations", "unknown members", "highest version", "two hours left", "last year", "empty"],
)
def test_members_at_the_edge_of_what_is_allowed_are_taken(dialect: Dialect, overrides: Any) -> None:
    one = publisher()
    assert taken(signed_in(dialect, one, **{"targets": ONE} | overrides), trusted(one)).raw


def test_as_many_targets_as_allowed_are_taken() -> None:
    entry = target("tdx/os-1.0")["tdx/os-1.0"] | {"custom": {}}
    one = publisher()
    raw = one.uptane({f"tdx/{number}": entry for number in range(MOST_TARGETS)})
    assert len(accept(raw, trusted(one), {}, NOW, NOW).packages) == MOST_TARGETS


@both
def test_an_equal_version_is_taken_with_identical_bytes_and_a_higher_one_with_any(dialect: Dialect) -> None:
    one = publisher()
    raw = signed_in(dialect, one, ONE, version=3)
    last = {dialect: taken(raw, trusted(one)).file}
    assert taken(raw, trusted(one), last).raw == raw
    assert taken(signed_in(dialect, one, {}, version=9), trusted(one), last).file.version == 9


@both
def test_where_there_is_a_list_for_each_dialect_the_versions_of_one_do_not_bind_the_other(
    dialect: Dialect,
) -> None:
    one = publisher()
    [other] = set(Dialect) - {dialect}
    last = {other: taken(signed_in(other, one, ONE, version=9), trusted(one)).file}
    assert taken(signed_in(dialect, one, ONE, version=1), trusted(one), last).file.version == 1
    with pytest.raises(SourceRolledBack):
        taken(signed_in(other, one, ONE, version=8), trusted(one), last)


@both
def test_where_there_is_one_list_another_dialect_needs_a_higher_version(dialect: Dialect) -> None:
    one = publisher()
    [other] = set(Dialect) - {dialect}
    before = taken(signed_in(other, one, ONE, version=9), trusted(one)).file
    last = {other: before}
    for version in (1, 8, 9):
        with pytest.raises(SourceRolledBack, match=f"version {version}; .* version 9"):
            taken(signed_in(dialect, one, ONE, version=version), trusted(one), last, before)
    for of, version in ((dialect, 10), (other, 10)):
        assert taken(signed_in(of, one, ONE, version=version), trusted(one), last, before).packages


scalars = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=30)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
times = st.datetimes().map(lambda moment: moment.isoformat() + "Z") | st.text(
    "0123456789-:TWZ+.", max_size=32
)
lengthy = st.sampled_from(["", "x" * 64, "x" * 65, "x" * 200, "x" * 201, "\u00e9" * 100, "\u00e9" * 101])
ecus = st.fixed_dictionaries({"hardwareId": anything | lengthy})
several = st.lists(scalars | lengthy, max_size=4) | st.dictionaries(
    lengthy, scalars | lengthy | ecus, max_size=3
)
customs = anything | st.fixed_dictionaries(
    {},
    optional={
        member: anything | times for member in ("name", "version", "targetFormat", "createdAt", "updatedAt")
    }
    | {member: anything | several for member in ("hardwareIds", "ecuIdentifiers")}
    | {"uri": anything | st.text("htps:/@[]%:#?é 1", max_size=20).map("https://".__add__)},
)


def is_readable(targets: Any) -> bool:
    try:
        read_targets({"targets": targets}, "theirs")
    except Malformed:
        return False
    return True


@given(customs, st.sampled_from(Dialect), st.integers(0, 2**53 - 1))
def test_no_custom_of_any_shape_stops_a_file_that_devices_can_read(
    custom: Any, dialect: Dialect, length: int
) -> None:
    targets = target("tdx/os-1.0")
    targets["tdx/os-1.0"] |= {"custom": custom, "length": length}
    one = publisher()
    if dialect is Dialect.UPTANE and not is_readable(targets):
        with pytest.raises(SourceOutOfBounds, match=r"'tdx/os-1\.0' with a custom.*publisher must mend"):
            accept(one.uptane(targets), trusted(one), {}, NOW, NOW)
        return
    accepted = taken(signed_in(dialect, one, targets), trusted(one))
    [package] = accepted.packages
    assert package.id == "tdx/os-1.0" and package.name
    assert accepted.targets == targets
    assert 0 <= package.created_at < 253_402_300_800


@given(st.text(min_size=1, max_size=300), st.sampled_from(Dialect))
def test_a_target_name_of_any_text_is_shown_or_left_out_with_a_reason(name: str, dialect: Dialect) -> None:
    one = publisher(paths=["*"])
    accepted = taken(signed_in(dialect, one, {name: ONE["tdx/os-1.0"]}), trusted(one))
    shown = [package.id for package in accepted.packages]
    assert shown == [name] or accepted.left_out == [LeftOut(name, accepted.left_out[0].reason)]


def test_a_package_without_custom_is_named_by_its_target() -> None:
    one = publisher()
    bare = {"hashes": {"sha256": "AB" * 32}, "length": 0}
    [package] = taken(one.uptane({"tdx/os-1.0": bare}), trusted(one)).packages
    assert (package.name, package.version, package.content.format) == ("tdx/os", "1.0", TargetFormat.OSTREE)
    assert (package.created_at, package.content.sha256) == (NOW, "ab" * 32)


others = st.dictionaries(
    st.sampled_from(["_type", "expires", "targets", "version", "custom", "x", "é"]), anything | st.just(OMIT)
)


@given(st.sampled_from(Dialect), others, st.lists(st.tuples(st.sampled_from(TARGET_MEMBERS), anything)))
def test_whatever_is_signed_is_refused_or_taken_by_clients_too(
    dialect: Dialect, members: Any, changes: Any
) -> None:
    targets = copy.deepcopy(ONE)
    targets["tdx/os-1.0"] |= dict(changes)
    one = publisher()
    with contextlib.suppress(SourceRefused):
        taken(signed_in(dialect, one, **{"targets": targets} | members), trusted(one))


TUF_ONLY = [("spec_version", value) for value in (OMIT, "2.0.0", 1)]
TUF_ONLY += [("delegations", value) for value in ({}, {"keys": None, "roles": []}, SUCCINCT)]


@pytest.mark.parametrize(("member", "value"), TUF_ONLY)
def test_a_file_that_tuf_clients_cannot_read_is_refused(member: str, value: Any) -> None:
    one = publisher()
    with pytest.raises(SourceRefused):
        accept(one.tuf(ONE, **{member: value}), trusted(one), {}, NOW, NOW)


@both
@pytest.mark.parametrize("delegations", [[1], "x", 1, True], ids=repr)
def test_delegations_that_are_no_object_are_refused(dialect: Dialect, delegations: Any) -> None:
    one = publisher()
    with pytest.raises(SourceRefused):
        accept(signed_in(dialect, one, ONE, delegations=delegations), trusted(one), {}, NOW, NOW)
