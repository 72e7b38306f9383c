"""The canonical forms, against the encoder that python-tuf uses and against what aktualizr does."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.formats import encode_canonical

from otarium.domain import canonical
from otarium.domain.errors import Invalid

text = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | text,
    lambda inner: st.lists(inner) | st.dictionaries(text, inner),
    max_leaves=20,
)


@given(values)
def test_olpc_is_what_python_tuf_signs(value: object) -> None:
    assert canonical.olpc(value).decode() == encode_canonical(value)


@given(values)
def test_every_served_form_is_json_of_the_same_value(value: object) -> None:
    assert json.loads(canonical.uptane(value)) == value
    assert json.loads(canonical.tuf(value)) == value
    assert canonical.parse(canonical.tuf(value)) == value


@given(values)
def test_the_served_form_below_tuf_turns_into_the_signed_one(value: object) -> None:
    assert canonical.unescape_controls(canonical.tuf(value)) == canonical.olpc(value)


@given(values)
def test_the_uptane_form_is_ascii_with_delete_raw(value: object) -> None:
    encoded = canonical.uptane(value)
    assert encoded.isascii()
    assert b"\\u007f" not in encoded.replace(b"\\\\", b"")


def test_a_backslash_before_u007f_stays_a_backslash() -> None:
    assert canonical.uptane("\\u007f\x7f") == b'"\\\\u007f\x7f"'


def test_ascii_without_control_characters_is_the_same_in_all_forms() -> None:
    value = {"b": [1, True, None], "a": 'x"\\/'}
    assert canonical.uptane(value) == canonical.tuf(value) == canonical.olpc(value)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a":1,"a":2}', "twice"),
        (b"1.5", "only integers"),
        (b"1e3", "only integers"),
        (b"NaN", "only integers"),
        (b"-Infinity", "only integers"),
        (b"9007199254740992", "2\\^53"),
        (b"1" * 5000, "2\\^53"),
        (b"[" * 65 + b"]" * 65, "deeper than 64"),
        (b"[" * 500_000, "deeper than 64"),
        (b'"\\ud800"', "surrogate"),
        (b"[" + b"{}," * 0 + b'{"a":1}' * 2 + b"]", "not JSON"),
        (json.dumps({str(n): n for n in range(10_001)}).encode(), "more than 10000"),
    ],
)
def test_json_is_read_strictly(raw: bytes, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        canonical.parse(raw)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with contextlib.suppress(Invalid):
        canonical.parse(raw)


def test_brackets_inside_strings_are_not_depth() -> None:
    assert canonical.parse(b'["' + b"[" * 100 + b'\\"["]') == ["[" * 100 + '"[']
