"""Path patterns match as fnmatch(3) of the C library does for a device, and warn where TUF clients differ."""

import contextlib
import ctypes
import locale
import time
from collections.abc import Iterator

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tuf.api.metadata import DelegatedRole

from otarium.domain import patterns
from otarium.domain.errors import Invalid

LIBC = ctypes.CDLL(None)
LIBC.setlocale.restype = ctypes.c_char_p
LIBC.setlocale.argtypes = [ctypes.c_int, ctypes.c_char_p]
LIBC.fnmatch.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int]


@contextlib.contextmanager
def c_locale() -> Iterator[None]:
    """Devices never call setlocale, so their C library compares bytes."""
    before = LIBC.setlocale(locale.LC_CTYPE, None)
    LIBC.setlocale(locale.LC_CTYPE, b"C")
    try:
        yield
    finally:
        LIBC.setlocale(locale.LC_CTYPE, before)


def device_matches(pattern: str, name: str) -> bool:
    return bool(LIBC.fnmatch(pattern.encode(), name.encode(), 0) == 0)


def parsed(raw: str) -> str | None:
    try:
        return patterns.parse(raw)
    except Invalid:
        return None


letters = "ab-/.*?[]!^\\é1"
pairs = st.tuples(st.text(letters, min_size=1, max_size=12), st.text(letters + "Aß\n ", max_size=10))
# Names that are likely to match: the pattern itself, with its stars and question marks filled in.
near = st.builds(
    lambda pattern, star, one: (pattern, pattern.replace("*", star).replace("?", one)),
    st.text("ab/*?[]-!\\é", min_size=1, max_size=12),
    st.text("ab/é", max_size=4),
    st.sampled_from("ab/-"),
)


def ends_within_a_range(pattern: str) -> bool:
    """Known to differ: see the test of it below."""
    return "[" in pattern and pattern.endswith("-")


@given(st.lists(pairs | near, min_size=10, max_size=40))
@settings(max_examples=300)
def test_patterns_match_as_the_c_library_does(cases: list[tuple[str, str]]) -> None:
    with c_locale():
        for pattern, name in cases:
            if parsed(pattern) and not ends_within_a_range(pattern):
                assert patterns.matches(pattern, name) == device_matches(pattern, name), (pattern, name)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*", "", True),
        ("tdx/*", "tdx/a/b\nc", True),
        ("tdx/*", "tdx", False),
        ("a?", "aé", False),
        ("a??", "aé", True),
        ("[é]", "é", False),
        ("a[b-a]", "ab", False),
        ("a[!b-a]", "ab", True),
        ("a[]-]", "a]", True),
        ("a[!]]", "ab", True),
        ("a[\\]]", "a]", True),
        ("a[b", "a[b", True),
        ("a\\*", "a*", True),
        ("a\\*", "ab", False),
        ("a\\", "a\\", False),
        ("A", "a", False),
    ],
)
def test_a_pattern_means_the_same_here_and_on_a_device(pattern: str, name: str, expected: bool) -> None:
    with c_locale():
        assert device_matches(pattern, name) is expected
    assert patterns.matches(pattern, name) is expected


@pytest.mark.parametrize("pattern", ["[a-", "x[--", "*[é-"])
def test_a_pattern_that_ends_within_a_range_is_refused_or_matches_nothing(pattern: str) -> None:
    assert parsed(pattern) is None or not patterns.matches(pattern, pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "*a" * 60 + "b",
        "*" * 253,
        "*" + "?" * 251 + "b",
        ("*" + "a" * 40) * 6,
        "*[!b]" * 50,
        "*" + "a" * 249 + "b*",
    ],
)
def test_no_pattern_takes_long(pattern: str) -> None:
    begun = time.thread_time()
    for length in (253, 20_000):
        patterns.matches(pattern, "a" * length)
        patterns.matches(pattern, "ab" * (length // 2))
    assert time.thread_time() - begun < 1


@given(st.text("*?ab[]!-\\", min_size=1, max_size=253), st.text("ab", max_size=253))
def test_no_random_pattern_takes_long(pattern: str, name: str) -> None:
    begun = time.thread_time()
    patterns.matches(pattern, name)
    assert time.thread_time() - begun < 0.5


HOSTILE = [
    [f"*{'a' * 125}b{number:02}*" for number in range(63)] + ["*"],
    ["*" + "?" * 250 + "b"] * 64,
    ["*[!b]" * 50 + "c"] * 64,
    [("*" + "a" * 40) * 6] * 64,
]


@pytest.mark.parametrize("many", HOSTILE, ids=lambda many: many[0][:12])
def test_a_name_is_read_once_for_all_patterns_together(many: list[str]) -> None:
    """However many of them there are: the work is that of the name's length."""
    read = []

    def bytes_of(name: str) -> Iterator[int]:
        for byte in name.encode():
            read.append(byte)
            yield byte

    machine = patterns.machine(tuple(many))
    for name in ("a" * 250, "ab" * 125, "a" * 4096):
        read.clear()
        expected = any(patterns.matches(one, name) for one in many)
        assert machine.matches(bytes_of(name)) == expected
        assert len(read) <= len(name)


@given(st.lists(pairs | near, min_size=1, max_size=12), st.text(letters, max_size=10))
def test_patterns_together_match_what_one_of_them_does(cases: list[tuple[str, str]], other: str) -> None:
    several = [pattern for pattern, _ in cases]
    for name in (other, *(name for _, name in cases)):
        assert patterns.any_matches(several, name) == any(patterns.matches(one, name) for one in several)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("", "1-253"),
        ("x" * 254, "1-253"),
        (None, "1-253"),
        (1, "1-253"),
        (["*"], "1-253"),
        (b"*", "1-253"),
        ("e\u0301*", "NFC"),
        ("\U0001f600*", "above"),
        ("a\n*", "control"),
        ("a\x7f", "control"),
        ("\ud800*", "control"),
        ("\uffff*", "unassigned"),
        ("/tdx/*", "slash"),
        ("../*", "climbs"),
        ("tdx/../*", "climbs"),
        ("tdx/..", "climbs"),
        ("[[:alpha:]]*", "named class"),
        ("[[.a.]]", "named class"),
        ("[x[=a=]]", "named class"),
        ("tdx/", "matches nothing"),
        ("/", "slash"),
    ],
)
def test_a_refused_pattern_is_told_the_rule(raw: object, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        patterns.parse(raw)


@pytest.mark.parametrize(
    "raw", ["*", "?", "tdx/*", "a..b/*", "..a", "[0-9]*", "[!a]", "é-*", "x" * 253, "a b"]
)
def test_any_other_pattern_is_taken_as_it_is(raw: str) -> None:
    assert patterns.parse(raw) == raw


@pytest.mark.parametrize("raw", ["lib[.]so", "[:]", "[=]"])
def test_a_bracket_may_begin_with_the_characters_of_named_classes(raw: str) -> None:
    assert patterns.parse(raw) == raw


@given(st.text() | st.none() | st.integers())
def test_any_value_is_taken_or_refused(raw: object) -> None:
    with contextlib.suppress(Invalid):
        assert patterns.ambiguity(patterns.parse(raw)) != ""


def tuf_matches(pattern: str, name: str) -> bool:
    return DelegatedRole("x", ["key"], 1, terminating=False, paths=[pattern]).is_delegated_path(name)


literal = st.text("abc-/.]!^é{}()+ ", min_size=1, max_size=6)


@given(pairs | near | st.tuples(literal, literal) | literal.map(lambda text: (text, text)))
@settings(max_examples=500)
def test_where_no_ambiguity_is_told_devices_and_tuf_clients_agree(case: tuple[str, str]) -> None:
    pattern, name = case
    assume(parsed(pattern) and patterns.ambiguity(pattern) is None)
    with c_locale():
        assert device_matches(pattern, name) == tuf_matches(pattern, name) == patterns.matches(pattern, name)


@pytest.mark.parametrize(
    ("pattern", "name", "told"),
    [
        ("tdx/*", "tdx/a/b", "slash"),
        ("a?b", "a/b", "slash"),
        ("é?", "éé", "one byte"),
        ("[!a]", "/", "brackets"),
        ("[^a]", "b", "brackets"),
        ("a\\*", "a\\b", "brackets"),
    ],
)
def test_where_they_disagree_the_operator_is_told_why(pattern: str, name: str, told: str) -> None:
    with c_locale():
        assert device_matches(pattern, name) != tuf_matches(pattern, name)
    assert told in (patterns.ambiguity(pattern) or "")


def test_the_locale_is_as_it_was() -> None:
    before = LIBC.setlocale(locale.LC_CTYPE, None)
    with c_locale():
        assert LIBC.setlocale(locale.LC_CTYPE, None) == b"C"
    assert LIBC.setlocale(locale.LC_CTYPE, None) == before
