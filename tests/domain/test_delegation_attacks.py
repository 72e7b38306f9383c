"""What is never taken from a publisher, or from somebody who pretends to be one, and with which refusal."""

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NOW
from judges.uptane_canonical import canonical
from otarium.domain import errors
from otarium.domain.delegation import FILE_BYTES, HIGHEST_VERSION, TARGETS, Delegation, accept
from otarium.domain.roles import Dialect
from otarium.domain.sources import parse_delegation
from publisher import OMIT, Publisher, signature, target, when

URL = "https://example.com/tdx.json"
ONE = target("tdx/os-1.0")
TDX = Publisher("tdx", now=lambda: NOW)
both = pytest.mark.parametrize("dialect", Dialect)


def trusted(one: Publisher) -> Delegation:
    bundle = one.bundle(URL)
    return parse_delegation(bundle["keys"], bundle["delegationMetadata"])


def signed_in(dialect: Dialect, targets: Any = ONE, *, by: Publisher = TDX, **members: Any) -> bytes:
    return (by.uptane if dialect is Dialect.UPTANE else by.tuf)(targets, **members)


def refused(
    raw: bytes, why: type[errors.SourceRefused], match: str | None = None, by: Delegation | None = None
) -> None:
    with pytest.raises(why, match=match):
        accept(raw, by or trusted(TDX), {}, NOW, NOW)


def family(**cases: Any) -> pytest.MarkDecorator:
    """Each case with its name as its id."""
    names = [name.replace("_", " ") for name in cases]
    return pytest.mark.parametrize("case", list(cases.values()), ids=names)


# Freshness.


@both
def test_an_older_version_is_refused(dialect: Dialect) -> None:
    last = {dialect: accept(signed_in(dialect, version=5), trusted(TDX), {}, NOW, NOW).file}
    with pytest.raises(errors.SourceRolledBack, match="from version 5 to 4"):
        accept(signed_in(dialect, version=4), trusted(TDX), last, NOW, NOW)


@both
@family(other_targets=lambda raw: None, same_meaning_other_spacing=lambda raw: raw + b"\n")
def test_an_equal_version_with_other_bytes_is_refused(dialect: Dialect, case: Any) -> None:
    raw = signed_in(dialect, version=5)
    last = {dialect: accept(raw, trusted(TDX), {}, NOW, NOW).file}
    with pytest.raises(errors.SourceRolledBack, match="still 5"):
        accept(case(raw) or signed_in(dialect, {}, version=5), trusted(TDX), last, NOW, NOW)


@both
@family(now=NOW, a_second_ago=NOW - 1, at_the_beginning=1, before_the_beginning=-1)
def test_an_expired_file_is_refused(dialect: Dialect, case: int) -> None:
    refused(signed_in(dialect, expires=when(case)), errors.SourceExpired, "must renew")


UNREADABLE = """
2030-01-01T00:00:00.000Z 2030-01-01T00:00:00+00:00 2030-01-01T00:00:00 2030-01-01t00:00:00z 2030-01-01
2030-02-30T00:00:00Z 2030-13-01T00:00:00Z 2030-01-01T24:00:00Z 2030-06-30T23:59:60Z 0000-01-01T00:00:00Z
12030-01-01T00:00:00Z ２０３０-01-01T00:00:00Z 20300101T000000Z 2030-W01-1T00:00:00Z never
"""


@both
@pytest.mark.parametrize(
    "case", [*UNREADABLE.split(), "2030-01-01T00:00:00Z\n", "", 1_900_000_000, [None], OMIT]
)
def test_an_expiry_that_some_client_cannot_read_is_refused(dialect: Dialect, case: Any) -> None:
    refused(signed_in(dialect, expires=case), errors.SourceUnreadable, "expires at")


@both
@pytest.mark.parametrize("case", [0, -1, True, "1", None, [1], OMIT, HIGHEST_VERSION, 2**31 - 1, 2**31])
def test_a_version_out_of_bounds_is_refused(dialect: Dialect, case: Any) -> None:
    refused(signed_in(dialect, version=case), errors.SourceUnreadable, "has version")


# Signatures.


@both
@family(Root="Root", Snapshot="Snapshot", capitals="TARGETS", mixed="tArgets", missing=OMIT, list=["Targets"])
def test_another_type_is_refused_though_its_signature_is_good(dialect: Dialect, case: Any) -> None:
    refused(signed_in(dialect, _type=case), errors.SourceUnreadable, "_type")


def test_the_signature_of_one_dialect_is_none_in_the_other() -> None:
    """`_type` is signed, so a file cannot be carried over; and each dialect has its own encoding."""
    for dialect, other in (("uptane", "targets"), ("tuf", "Targets")):
        signed = json.loads(TDX.tuf(ONE))["signed"] | {"_type": other}
        refused(json.dumps(TDX.signed_by(TDX.keys, signed, dialect)).encode(), errors.SourceUnsigned)


@both
def test_too_few_signatures_are_refused(dialect: Dialect) -> None:
    one = Publisher("tdx", keys=3, threshold=2, now=lambda: NOW)
    delegation = trusted(one)
    one.keys = one.keys[:1]
    refused(signed_in(dialect, by=one), errors.SourceUnsigned, "signed by 1 of", delegation)


@both
def test_one_signature_listed_twice_is_refused(dialect: Dialect) -> None:
    one = Publisher("tdx", keys=2, threshold=2, now=lambda: NOW)
    delegation = trusted(one)
    one.keys = [one.keys[0], one.keys[0]]
    refused(signed_in(dialect, by=one), errors.SourceUnsigned, "two signatures", delegation)


def reformatted(pem: str) -> str:
    first, *middle, last = pem.strip().splitlines()
    return "\r\n".join([first, "".join(middle), last, ""])


@both
@family(
    ed25519=("ed25519", str, str.upper),
    rsa=("rsa", str, str),
    rsa_reformatted=("rsa", str, reformatted),
    rsa_without_last_line_end=("rsa", str, str.strip),
)
def test_one_key_under_two_ids_counts_once(dialect: Dialect, case: Any) -> None:
    kind, first, second = case
    key, other = Publisher("tdx", keys=2, kind=kind).keys
    keys = {
        key_id: {"keytype": kind, "keyval": {"public": public}}
        for key_id, public in (("a", first(key.public)), ("b", second(key.public)), ("c", other.public))
    }
    about = {"name": "tdx", "paths": ["*"], "threshold": 2, "keyids": ["a", "b", "c"]}
    signed = json.loads(signed_in(dialect))["signed"]
    document = {
        "signed": signed,
        "signatures": [signature(key, signed, dialect) | {"keyid": k} for k in "ab"],
    }
    refused(canonical(document), errors.SourceUnsigned, "signed by 1 of", parse_delegation(keys, about))
    with pytest.raises(errors.Invalid, match="threshold"):
        parse_delegation(keys, about | {"keyids": ["a", "b"]})


@both
def test_a_stranger_cannot_sign_in_the_name_of_a_trusted_key(dialect: Dialect) -> None:
    [stranger], [key] = Publisher("stranger").keys, TDX.keys
    document = json.loads(signed_in(dialect, by=Publisher("stranger", now=lambda: NOW)))
    refused(json.dumps(document).encode(), errors.SourceUnsigned, "signed by 0 of")
    document["signatures"] = [signature(stranger, document["signed"], dialect) | {"keyid": key.key_id}]
    refused(json.dumps(document).encode(), errors.SourceUnsigned, "signed by 0 of")


@both
def test_what_was_changed_after_it_was_signed_is_refused(dialect: Dialect) -> None:
    refused(signed_in(dialect).replace(b"os-1.0", b"os-1.1"), errors.SourceUnsigned)


@family(missing=OMIT, null=None, ecdsa="ecPrime256v1", rsa="rsa", empty="", number=1, list=["ed25519"])
def test_a_method_that_devices_do_not_know_spoils_the_file_even_by_an_unknown_key(case: Any) -> None:
    document = json.loads(TDX.uptane(ONE))
    bad = document["signatures"][0] | {"keyid": "unknown", "method": case}
    document["signatures"].append({member: value for member, value in bad.items() if value is not OMIT})
    refused(json.dumps(document).encode(), errors.SourceUnsigned, "method")


@family(blank_text="a value", hexadecimal_marks="0x00!", short="ab", padded_twice="====")
def test_a_signature_by_a_trusted_key_that_is_no_base64_is_refused_beside_good_ones(case: str) -> None:
    one = Publisher("tdx", keys=2, now=lambda: NOW)
    document = json.loads(one.uptane(ONE))
    document["signatures"][1]["sig"] = case
    refused(canonical(document), errors.SourceUnsigned, "not base64", trusted(one))
    document["signatures"][1]["keyid"] = "unknown"
    accept(canonical(document), trusted(one), {}, NOW, NOW)


def test_a_signature_in_hexadecimal_with_blanks_counts_for_nobody() -> None:
    document = json.loads(TDX.tuf(ONE))
    value = document["signatures"][0]["sig"]
    document["signatures"][0]["sig"] = f"{value[:2]} {value[2:]}"
    refused(json.dumps(document).encode(), errors.SourceUnsigned, "signed by 0 of")


UNREADABLE = {
    "text": "x",
    "list": [],
    "number": 5,
    "format is a list": {"targetFormat": ["BINARY"]},
    "uri is an object": {"uri": {}},
    "a list among hardware ids": {"hardwareIds": ["hw", ["hw"]]},
    "an object among hardware ids by name": {"hardwareIds": {"a": {}}},
    "a long hardware id": {"hardwareIds": ["\u00e9" * 101]},
    "an ECU that is text": {"ecuIdentifiers": {"a": "x"}},
    "an ECU without a serial": {"ecuIdentifiers": {"": {}}},
    "an ECU with a list": {"ecuIdentifiers": [{"hardwareId": []}]},
}


@pytest.mark.parametrize("custom", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_package_at_which_devices_would_stop_reading_is_named(custom: Any) -> None:
    targets = target("tdx/good-1") | target("tdx/odd-1")
    targets["tdx/odd-1"]["custom"] = custom
    refused(TDX.uptane(targets), errors.SourceOutOfBounds, "'tdx/odd-1' with a custom.*Uptane devices")
    assert len(accept(TDX.tuf(targets), trusted(TDX), {}, NOW, NOW).packages) == 2


def test_a_correlation_id_that_is_no_text_is_refused() -> None:
    refused(TDX.uptane(ONE, custom={"correlationId": []}), errors.SourceUnreadable, "correlationId")


@both
@family(none=0, too_many=33)
def test_a_number_of_signatures_out_of_bounds_is_refused(dialect: Dialect, case: int) -> None:
    one = Publisher("tdx", keys=case, now=lambda: NOW)
    refused(signed_in(dialect, by=one), errors.SourceUnsigned, f"has {case} signatures")


@both
@family(
    text="x", null=None, empty={}, no_sig={"keyid": "x"}, no_id={"sig": ""}, number={"keyid": "x", "sig": 1}
)
def test_something_else_than_a_signature_is_refused(dialect: Dialect, case: Any) -> None:
    document = json.loads(signed_in(dialect))
    document["signatures"].append(case)
    refused(json.dumps(document).encode(), errors.SourceUnsigned)


# Bounds.


@both
@pytest.mark.parametrize("case", ["other/os-1", "tdx", "TDX/os-1", "../tdx/os-1", "/tdx/os-1"])
def test_a_target_outside_the_paths_spoils_the_file_and_is_named(dialect: Dialect, case: str) -> None:
    targets = ONE | {case: ONE["tdx/os-1.0"]}
    refused(signed_in(dialect, targets), errors.SourceOutOfBounds, f"lists 1 packages outside.*{case}")


@both
def test_a_file_that_delegates_further_is_refused(dialect: Dialect) -> None:
    nested = {"keys": {}, "roles": [{"keyids": [], "name": "x", "paths": ["*"], "threshold": 1}]}
    refused(signed_in(dialect, delegations=nested), errors.SourceOutOfBounds, "delegates further")


def test_more_targets_than_allowed_are_refused() -> None:
    targets = dict.fromkeys((f"tdx/{number}" for number in range(TARGETS + 1)), ONE["tdx/os-1.0"])
    refused(signed_in(Dialect.UPTANE, targets), errors.SourceOutOfBounds, "at most 20000")


def test_a_name_of_half_a_megabyte_takes_no_long_time() -> None:
    one = Publisher("tdx", [f"*{'a' * 245}b{number}*" for number in range(8)] + ["*"], now=lambda: NOW)
    raw, delegation, begun = one.uptane({"a" * 500_000: ONE["tdx/os-1.0"]}), trusted(one), time.thread_time()
    with contextlib.suppress(errors.SourceRefused):
        accept(raw, delegation, {}, NOW, NOW)
    assert time.thread_time() - begun < 0.3


@both
@family(list=[], null=None, text="x", missing=OMIT)
def test_targets_that_are_no_object_are_refused(dialect: Dialect, case: Any) -> None:
    refused(signed_in(dialect, case), errors.SourceUnreadable, "no object of targets")


@both
@family(
    **{"no length": {"length": OMIT}, "no hashes": {"hashes": OMIT}, "empty hashes": {"hashes": {}}},
    **{f"length {value}": {"length": value} for value in (-1, True, "1", None)},
    **{f"hash {value!r}": {"hashes": {"sha256": value}} for value in ("", 1, None, ["ab"])},
    **{f"hashes {value!r}": {"hashes": value} for value in ("ab", ["ab"], None)},
)
def test_a_target_that_devices_cannot_read_spoils_the_file(dialect: Dialect, case: Any) -> None:
    made = {name: value for name, value in (ONE["tdx/os-1.0"] | case).items() if value is not OMIT}
    refused(signed_in(dialect, {"tdx/os-1.0": made}), errors.SourceOutOfBounds, "without a length or")


# Bytes. All these are signed as far as that is possible; they are refused before anybody asks for keys.

GOOD = TDX.uptane(ONE)
TAIL = b',"version":1}}'
FLOATS = ("NaN", "Infinity", "-Infinity", "1.5", "1e3")
NUMBERS = ("1.0", "01", "+1", "9007199254740992", "0x1")


@family(
    empty_object=b"{}",
    list=b"[" + GOOD + b"]",
    signed_is_a_list=b'{"signatures":[],"signed":[]}',
    truncated=GOOD[:-1],
    truncated_in_the_middle=GOOD[: len(GOOD) // 2],
    text_after_the_end=GOOD + b"x",
    trailing_comma=GOOD.replace(TAIL, b',"version":1,}}'),
    comment=b"/* */" + GOOD,
    byte_order_mark=b"\xef\xbb\xbf" + GOOD,
    utf_16=GOOD.decode().encode("utf-16"),
    not_utf_8=GOOD.replace(b"os", b"\xff"),
    zero_byte=GOOD + b"\0",
    member_twice=GOOD.replace(TAIL, b',"version":1,"version":1}}'),
    signed_twice=GOOD[:-1] + b',"signed":{}}',
    lone_surrogate=GOOD.replace(b"os", b"\\ud800"),
    lone_low_surrogate_as_a_name=GOOD.replace(TAIL, b',"version":1,"\\udc00":1}}'),
    depth_of_65=GOOD.replace(TAIL, b',"version":1,"x":' + b"[" * 63 + b"]" * 63 + b"}}"),
    depth_of_a_million=b"[" * 1_000_000,
    nine_mebibytes=GOOD + b" " * (9 * 2**20),
    one_byte_too_many=GOOD.ljust(FILE_BYTES + 1),
    **{n: GOOD.replace(TAIL, f',"version":1,"x":{n}}}}}'.encode()) for n in FLOATS},
    **{n: GOOD.replace(TAIL, f',"version":{n}}}}}'.encode()) for n in NUMBERS},
)
def test_bytes_that_clients_would_read_differently_are_refused(case: bytes) -> None:
    assert case != GOOD
    refused(case, errors.SourceUnreadable)


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_no_bytes_do_more_than_being_refused(raw: bytes) -> None:
    refused(raw, errors.SourceUnreadable)


@given(
    st.sampled_from(Dialect),
    st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 40), st.binary(max_size=8))),
)
def test_no_damage_to_a_good_file_does_more_than_having_it_refused(dialect: Dialect, damage: Any) -> None:
    good = raw = signed_in(dialect)
    for at, length, put in damage:
        at %= len(raw) + 1
        raw = raw[:at] + put + raw[at + length :]
    try:
        made = json.loads(accept(raw, trusted(TDX), {}, NOW, NOW).raw)["signed"]
    except errors.SourceRefused:
        return
    assert made == json.loads(good)["signed"]
