"""A source from its bundle to its delegation: whom it trusts, how it fares, when it is asked again."""

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from tuf.api.metadata import Delegations

from builders import NOW
from judges.uptane_keys import read_keys
from otarium.domain.delegating import delegations, leaves_tuf_between
from otarium.domain.delegation import SourceFile
from otarium.domain.errors import Invalid
from otarium.domain.names import SourceName
from otarium.domain.roles import Dialect
from otarium.domain.sources import Fetching, Problem, Source, SourceState, parse_delegation, parse_headers
from publisher import Publisher, when

DAY = 86_400
UPTANE, TUF = Dialect.UPTANE, Dialect.TUF
ABOUT = {"name": "tdx", "paths": ["tdx/*"]}
KEY = Publisher("tdx").keys[0]
TWO = {"tuf_uri": "https://example.com/x.tuf.json"}


def listed(dialect: Dialect = UPTANE, name: str = "tdx", life: int = 30 * DAY, **changes: Any) -> SourceFile:
    made = SourceFile(SourceName(name), dialect, 3, "aa" * 32, "bb" * 32, 100, NOW + life, NOW, NOW)
    return replace(made, **changes)


def source(*files: SourceFile, by: Publisher | None = None, fetching: Any = None, **changes: Any) -> Source:
    bundle = (by or Publisher("tdx")).bundle("")
    delegation = parse_delegation(bundle["keys"], bundle["delegationMetadata"])
    how = Fetching(**{"uri": "https://example.com/x.json"} | (fetching or {}))
    return Source(delegation, how, 1, NOW, files={file.dialect: file for file in files}, **changes)


@pytest.mark.parametrize("rule", ["uptane", "tuf", "spki"])
@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_the_keys_of_a_bundle_may_be_a_list_or_an_object(kind: str, rule: str) -> None:
    one = Publisher("tdx", keys=2, kind=kind, rule=rule)
    bundle = one.bundle("")
    about = bundle["delegationMetadata"]
    made = parse_delegation(bundle["keys"], about)
    assert list(made.keys) == [key.key_id for key in one.keys]
    assert parse_delegation({key.key_id: key.stated for key in one.keys}, about) == made
    without_ids = parse_delegation(bundle["keys"], about | {"keyids": None})
    assert made.keys.items() <= without_ids.keys.items()


def test_an_id_that_is_no_hash_is_opaque_and_a_key_in_capitals_is_the_same_key() -> None:
    for public in (KEY.public, KEY.public.upper()):
        keys = {"r": {"keytype": "ED25519", "keyval": {"public": public}}}
        assert parse_delegation(keys, ABOUT | {"keyids": ["r"]}).keys["r"].public == KEY.public


@pytest.mark.parametrize("claimed", ["0" * 64, Publisher("other").keys[0].key_id])
def test_an_id_that_claims_to_be_a_hash_and_is_not_is_refused(claimed: str) -> None:
    for keys in ([KEY.stated], {claimed: KEY.stated}):
        with pytest.raises(Invalid, match=r"not the hash|none of the keys"):
            parse_delegation(keys, ABOUT | {"keyids": [claimed]})


def pem(private: Any, form: str = "SubjectPublicKeyInfo") -> str:
    encoding = serialization.Encoding.PEM
    return private.public_key().public_bytes(encoding, getattr(serialization.PublicFormat, form)).decode()


RSA = rsa.generate_private_key(65_537, 2048)
BAD_KEYS = {
    "rsa of 1024 bits": {"keytype": "RSA", "keyval": {"public": pem(rsa.generate_private_key(65_537, 1024))}},
    "another curve": {"keytype": "ecdsa", "keyval": {"public": pem(ec.generate_private_key(ec.SECP384R1()))}},
    "rsa called ecdsa": {"keytype": "ecdsa", "keyval": {"public": pem(RSA)}},
    "ed25519 called rsa": {"keytype": "rsa", "keyval": {"public": KEY.public}},
    "no pem": {"keytype": "rsa", "keyval": {"public": "-----BEGIN PUBLIC KEY-----"}},
    "half a key": {"keytype": "ed25519", "keyval": {"public": KEY.public[:32]}},
    "another kind": {"keytype": "ed448", "keyval": {"public": KEY.public}},
    "its private part": KEY.stated | {"keyval": {"public": KEY.public, "private": "00" * 32}},
    "no public part": {"keytype": "ed25519", "keyval": {}},
    "null": None,
}


@pytest.mark.parametrize("bad", BAD_KEYS.values(), ids=list(BAD_KEYS))
def test_a_bundle_with_a_key_that_is_not_taken_is_refused(bad: Any) -> None:
    for keys, about in (([bad], ABOUT), ({"r": bad}, ABOUT), ({"r": bad}, ABOUT | {"keyids": ["r"]})):
        with pytest.raises(Invalid):
            parse_delegation(keys, about)


@pytest.mark.parametrize("threshold", [0, -1, True, 3, 2**40, "1", 1.0, None, [1]])
def test_a_threshold_that_is_no_number_of_keys_is_refused(threshold: Any) -> None:
    bundle = Publisher("tdx", keys=2).bundle("")
    with pytest.raises(Invalid, match="threshold"):
        parse_delegation(bundle["keys"], bundle["delegationMetadata"] | {"threshold": threshold})


@pytest.mark.parametrize(
    "changes",
    [{"paths": value} for value in (None, [], "tdx/*", [1], ["*"] * 65, ["../*"])]
    + [{"keyids": value} for value in ([], "x", ["x"], [1], [None], ["x"] * 33)]
    + [{"name": value} for value in ("", "a/b", "targets.json")],
)
def test_a_delegation_that_means_nothing_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        parse_delegation([KEY.stated], ABOUT | changes)


PKCS1 = {"keytype": "rsa", "keyval": {"public": pem(RSA, "PKCS1")}}


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        pytest.param(PKCS1, {}, id="rsa in pkcs#1"),
        pytest.param({"keytype": "ed25519", "keyval": {"public": f" {KEY.public}"}}, {}, id="spaces in hex"),
        pytest.param(KEY.stated, {"keyids": [[]]}, id="key id of another type"),
        pytest.param(KEY.stated, {"name": None}, id="no name"),
    ],
)
def test_a_bundle_that_clients_cannot_read_is_refused(key: Any, changes: Any) -> None:
    with pytest.raises(Invalid):
        parse_delegation([key], ABOUT | changes)


def test_the_ids_of_an_object_of_keys_are_kept_without_keyids() -> None:
    assert "r" in parse_delegation({"r": KEY.stated}, ABOUT).keys


RESERVED = (
    "root Targets SNAPSHOT timestamp offline-snapshot offline-updates P-0f targets.json root.json.json 1.x"
)


@pytest.mark.parametrize("raw", [*RESERVED.split(), ".x", "", ".json", "a b", "é", "x" * 51])
def test_a_name_that_is_a_role_of_ours_or_no_file_name_is_refused(raw: str) -> None:
    with pytest.raises(Invalid, match="source name"):
        SourceName.parse(raw)


@pytest.mark.parametrize("raw", ["tdx", "tdx.json", "p-", "p-x", "roots", "a.b_c-D9", "_x", "-", "x" * 50])
def test_any_other_name_is_taken_without_its_ending(raw: str) -> None:
    assert SourceName.parse(raw) == raw.removesuffix(".json")


BAD_FETCHING = [{"uri": uri} for uri in ("http://h/x", "ftp://h/x", "file:///etc/passwd", "//h/x", "h", "")]
BAD_FETCHING += [{"tuf_uri": "http://h/x"}, {"uri": "https://h/" + "x" * 2048}, {"targets_uri": "ftp://h/"}]
BAD_FETCHING += [{"interval": value} for value in (-1, 0, 59, 7 * DAY + 1)]
BAD_FETCHING += [{"friendly_name": value} for value in ("x" * 81, "a\nb", "\x1b[31m", "\u202e")]


@pytest.mark.parametrize("fields", BAD_FETCHING, ids=str)
def test_a_way_of_fetching_that_is_not_allowed_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        Fetching(**{"uri": "https://h/x"} | fields)


def test_plain_http_and_the_longest_and_shortest_intervals_can_be_allowed() -> None:
    assert Fetching("http://h/x", tuf_uri="http://h/y", insecure=True, interval=60, friendly_name="x" * 80)
    assert Fetching("https://h/x", interval=7 * DAY).enabled


@pytest.mark.parametrize("uri", ["https://", "https:///x", "https://u:p@h/", "https://h/\r\nX: y"])
def test_a_url_without_a_host_or_with_credentials_is_refused(uri: str) -> None:
    with pytest.raises(Invalid):
        Fetching(uri)


def test_the_headers_of_a_private_feed_are_taken_in_lower_case() -> None:
    stated = {"Authorization": "Bearer x", "PRIVATE-TOKEN": "t", "X-Api-Key": "k"}
    assert parse_headers(stated) == {"authorization": "Bearer x", "private-token": "t", "x-api-key": "k"}


BAD_HEADERS = [(name, "x") for name in ("Host", "Cookie", "Range", "Proxy-Authorization", "x", "")]
BAD_HEADERS += [(name, "x") for name in ("X-A\r\n", "X-A: b", "X_A", "X-é", "Private-To\u212aen", "X-A ")]
BAD_HEADERS += [("X-A", value) for value in ("a\r\nb", "a\tb", "a\0", "é", "x" * 4097, None, 1, ["x"])]


@pytest.mark.parametrize(("name", "value"), BAD_HEADERS)
def test_any_other_header_is_refused(name: str, value: Any) -> None:
    with pytest.raises(Invalid, match="header"):
        parse_headers({name: value})


UNREACHABLE, UNREADABLE = "delegation_remote_fetch_failed", "delegation_remote_parse_failed"


@pytest.mark.parametrize(
    ("files", "code", "after", "state"),
    [
        ([listed()], None, 0, "fresh"),
        ([listed()], None, 23 * DAY - 1, "fresh"),
        ([listed()], None, 23 * DAY, "expiring"),
        ([listed()], None, 30 * DAY - 1, "expiring"),
        ([listed()], None, 30 * DAY, "expired"),
        ([listed(life=8000)], None, 5999, "fresh"),
        ([listed(life=8000)], None, 6000, "expiring"),
        ([listed(), listed(TUF, life=DAY)], None, DAY, "expired"),
        ([], None, 0, "unreachable"),
        ([], "delegation_expired", 0, "refused"),
        ([], UNREACHABLE, 0, "unreachable"),
        ([listed()], UNREACHABLE, 0, "unreachable"),
        ([listed()], UNREADABLE, 0, "refused"),
        ([listed()], UNREADABLE, 30 * DAY, "expired"),
    ],
)
def test_the_state_of_a_source_says_what_matters_most(files: Any, code: Any, after: int, state: str) -> None:
    made = source(*files, problem=Problem(code, "why", NOW) if code else None)
    assert made.state(NOW + after) is SourceState(state)


@pytest.mark.parametrize(
    ("files", "changes", "replaced"),
    [
        ([], {}, None),
        ([listed()], {}, UPTANE),
        ([listed(TUF)], {}, TUF),
        ([listed(), listed(TUF)], {"fetching": TWO}, None),
        ([listed(), listed(TUF, vouched=True)], {"fetching": {"vouch": True}}, UPTANE),
        ([listed(accepted_at=0), listed(TUF)], {}, TUF),
        ([listed(), listed(TUF, accepted_at=0)], {}, UPTANE),
        ([listed(), listed(TUF)], {"removed_at": NOW}, UPTANE),
        ([listed(), listed(TUF, accepted_at=NOW + 1)], {"removed_at": NOW + 2}, TUF),
        ([listed(), listed(TUF, accepted_at=0)], {"removed_at": NOW}, UPTANE),
    ],
)
def test_a_single_list_takes_the_place_of_the_newest_of_its_publisher(
    files: Any, changes: Any, replaced: Dialect | None
) -> None:
    """Also after it was removed; never of what this repository signed or of what was replaced already."""
    found = source(*files, **changes).replaced
    assert (found and found.dialect) == replaced


def test_after_it_was_added_again_the_live_list_is_the_one_that_is_replaced() -> None:
    made = replace(source(listed(), listed(TUF, accepted_at=NOW + 9, version=15)), added_at=NOW + 5)
    assert made.replaced == made.files[TUF]


@pytest.mark.parametrize("files", [[], [listed()], [listed(life=-1)]])
@pytest.mark.parametrize("problem", [None, Problem(UNREACHABLE, "why", NOW)])
def test_a_disabled_source_is_just_that(files: Any, problem: Any) -> None:
    made = source(*files, fetching={"enabled": False}, problem=problem)
    assert made.state(NOW) is SourceState.DISABLED


ALONE = "its list is in the Uptane dialect alone; "
VOUCH = {"vouch": True}


@pytest.mark.parametrize(
    ("files", "fetching", "said"),
    [
        ([listed()], {}, "set vouch to carry it for TUF clients"),
        ([listed()], TWO, "the one for TUF clients was not taken over so far"),
        (
            [listed(version=7), listed(TUF, version=7, accepted_at=0)],
            VOUCH,
            "it is vouched for from version 8 on, since TUF clients saw version 7 of its publisher's own",
        ),
        ([listed(), listed(TUF, vouched=True)], VOUCH, None),
        ([listed(), listed(TUF)], TWO, None),
    ],
)
def test_what_is_missing_for_tuf_clients_is_told_with_the_way_to_it(
    files: Any, fetching: Any, said: str | None
) -> None:
    told = [one.removeprefix(ALONE) for one in source(*files, fetching=fetching).warnings if ALONE in one]
    assert told == ([said] if said else [])


def test_a_list_that_is_valid_for_more_than_five_years_is_warned_about() -> None:
    five = 5 * 365 * DAY
    assert not any("keep newer" in one for one in source(listed(life=five)).warnings)
    long = source(listed(life=five + 1), listed(TUF, life=five + 1, vouched=True), fetching=VOUCH)
    [told] = [one for one in long.warnings if "keep newer" in one]
    assert "/repo" in told and when(NOW + five + 1) in told


def waits(made: Source, failures: int = 0, jitter: float = 0.5, after: int = 0) -> int:
    return made.next_after(NOW + after, failures, jitter) - NOW - after


def test_a_source_is_asked_by_schedule_and_sooner_near_its_expiry() -> None:
    assert waits(source()) == waits(source(listed())) == 3600
    assert waits(source(listed()), after=30 * DAY - 8000) == 1000
    assert waits(source(listed()), after=30 * DAY - 8) == waits(source(listed()), after=31 * DAY) == 60


def test_failures_back_off_up_to_the_interval() -> None:
    expected = {1: 60, 2: 120, 3: 240, 6: 1920, 7: 3600, 10**6: 3600}
    assert {failures: waits(source(), failures) for failures in expected} == expected


def test_a_failure_near_the_expiry_does_not_delay_more_than_success_would() -> None:
    made = source(listed(), fetching={"interval": 7 * DAY})
    assert waits(made, failures=10, after=30 * DAY - 8000) <= waits(made, after=30 * DAY - 8000)


@given(st.integers(60, 7 * DAY), st.integers(0, 40), st.floats(0, 1), st.integers(-DAY, 60 * DAY))
def test_jitter_spreads_over_a_tenth_of_the_time(
    interval: int, failures: int, jitter: Any, life: int
) -> None:
    made = source(listed(life=life), fetching={"interval": interval})
    wait = waits(made, failures, jitter)
    assert waits(made, failures, 0) <= wait <= waits(made, failures, 1)
    assert 57 <= wait <= interval * 1.05


def names(*sources: Source, dialect: Dialect = UPTANE, now: int = NOW) -> list[str]:
    made = delegations(sources, dialect, now)
    return [role["name"] for role in made["roles"]] if made else []


def test_delegations_stand_in_the_given_order_and_none_is_terminating() -> None:
    sources = [source(listed(name=n), listed(TUF, n), by=Publisher(n)) for n in ("b", "a", "c")]
    for dialect in Dialect:
        made = delegations(sources, dialect, NOW)
        assert [role["name"] for role in made["roles"]] == ["b", "a", "c"]
        assert [role["paths"] for role in made["roles"]] == [["b/*"], ["a/*"], ["c/*"]]
        assert not any(role["terminating"] for role in made["roles"])
    read_keys(made["keys"], "ours")
    assert list(Delegations.from_dict(made).roles) == ["b", "a", "c"]


def test_only_a_source_with_a_live_file_in_the_dialect_is_delegated_to() -> None:
    file = listed()
    assert delegations([], UPTANE, NOW) is delegations([source()], UPTANE, NOW) is None
    assert names(source(file)) == ["tdx"]
    assert names(source(file), dialect=TUF) == names(source(file, removed_at=NOW)) == []
    assert names(source(file, fetching={"enabled": False})) == []
    assert names(replace(source(file), added_at=NOW + 1)) == []


def test_a_source_leaves_tuf_one_hour_before_it_expires_and_uptane_never() -> None:
    made, leaving = source(listed(), listed(TUF)), NOW + 30 * DAY - 3600
    assert names(made, dialect=TUF, now=leaving - 1) == ["tdx"] == names(made, now=NOW + 31 * DAY)
    assert names(made, dialect=TUF, now=leaving) == []
    assert leaves_tuf_between([made], leaving - 1, leaving)
    assert not leaves_tuf_between([made], leaving, leaving + 1)
    assert not leaves_tuf_between([source(listed())], leaving - 1, leaving)


def test_an_ecdsa_key_is_shown_to_tuf_clients_alone() -> None:
    """It would spoil the whole targets.json for devices."""
    keys = {key.key_id: key.stated for key in (KEY, *Publisher("tdx", kind="ecdsa").keys)}
    delegation = parse_delegation(keys, ABOUT | {"keyids": list(keys)})
    made = replace(source(listed(), listed(TUF)), delegation=delegation)
    assert list(delegations([made], UPTANE, NOW)["keys"]) == [KEY.key_id]
    assert list(delegations([made], TUF, NOW)["keys"]) == list(keys)
