"""GET /packages: order, pages and filters, held against a plain Python list of the same packages."""

import hashlib
import re
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.calls import EVERYTHING, ids, page, refused
from api.listing import BODIES, HARDWARE, NAMES, Shelf, written
from harness import http, running_server


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("list") / "data") as running:
        filled = Shelf(running)
        filled.fill()
        yield filled


def check(shelf, query, **spelling):
    answer = page(shelf.server, written(query, **spelling))
    values, total = shelf.page(query)
    assert [one["packageId"] for one in answer["values"]] == [one["packageId"] for one in values]
    assert answer == {
        "values": values,
        "total": total,
        "offset": query.get("offset", 0),
        "limit": query.get("limit", 50),
    }


def slices_of(texts):
    """Parts of the texts, in any case."""
    whole = st.sampled_from(texts).flatmap(
        lambda text: st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).map(
            lambda ends: text[min(ends) : max(ends)]
        )
    )
    return whole.flatmap(lambda text: st.sampled_from([text, text.upper(), text.lower(), text.swapcase()]))


HASHES = [hashlib.sha256(body).hexdigest() for body in BODIES]
IDS = [f"{name}-1" for name in NAMES] + ["os/image-1", "none-1"]
FILTERS = {
    "nameContains": slices_of(NAMES) | st.sampled_from(["%", "_", "\\", "*", "-1", "[d]", "%b", "."]),
    "idContains": slices_of(IDS) | st.sampled_from(["%-", "_b-", "--", "-B-1"]),
    "name": st.sampled_from([*NAMES, "none", "APP"]),
    "version": st.sampled_from(["1", "1.0", "b-1", "B-1", "2"]),
    "packageSource": st.lists(st.sampled_from(["targets.json", "targets", "tdx-nightly.json"]), max_size=2),
    "hardwareIds": st.lists(st.sampled_from([*HARDWARE, "none", "verdin", "a,b,c"]), max_size=3),
    "hashes": st.lists(st.sampled_from([*HASHES, "0" * 64, "a" * 64]), max_size=3),
    "packageIds": st.lists(st.sampled_from(IDS), max_size=4),
    "hasSBOM": st.booleans(),
}
PAGING = {
    "offset": st.integers(0, 50) | st.just(EVERYTHING),
    "limit": st.integers(0, 60) | st.just(EVERYTHING),
    "sortBy": st.sampled_from(["Filename", "CreatedAt"]),
    "sortDirection": st.sampled_from(["Asc", "Desc"]),
}


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_alone_finds_what_a_plain_list_would(shelf, name):
    @settings(max_examples=12, derandomize=True)
    @given(value=FILTERS[name])
    def found(value):
        check(shelf, {name: value})

    found()


@settings(max_examples=150, derandomize=True)
@given(query=st.fixed_dictionaries({}, optional=FILTERS | PAGING), brackets=st.booleans(), plus=st.booleans())
def test_all_filters_orders_and_pages_together_find_what_a_plain_list_would(shelf, query, brackets, plus):
    check(shelf, query, brackets=brackets, plus=plus)


@pytest.mark.parametrize("sort_by", [None, "CreatedAt", "Filename"])
@pytest.mark.parametrize("direction", [None, "Asc", "Desc"])
def test_the_order_is_total_and_the_same_over_all_pages(shelf, sort_by, direction):
    query = {"sortBy": sort_by, "sortDirection": direction}
    query = {name: value for name, value in query.items() if value}
    check(shelf, query)
    check(shelf, query | {"limit": EVERYTHING})
    pages = [ids(shelf.server, written(query | {"limit": 7, "offset": at})) for at in range(0, 49, 7)]
    assert [*chain.from_iterable(pages)] == [
        one["packageId"] for one in shelf.page(query | {"limit": EVERYTHING})[0]
    ]


def test_created_at_is_kept_in_whole_seconds_and_decides_before_the_id(shelf):
    values = page(shelf.server, f"limit={EVERYTHING}")["values"]
    times = [one["createdAt"] for one in values]
    assert times == sorted(times, reverse=True)
    assert 3 <= len(set(times)) < len(times) / 2
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", one) for one in times)


def test_filename_sorts_by_code_point_not_by_alphabet(shelf):
    found = ids(shelf.server, f"sortBy=Filename&sortDirection=Asc&limit={EVERYTHING}")
    assert found == sorted(found, key=lambda one: [ord(char) for char in one])
    assert found.index("Z-1") < found.index("a%b-1") < found.index("ünï-1") < found.index("Жук-1")


def test_fifty_from_the_start_is_the_default_and_empty_arguments_change_nothing(shelf):
    plain = page(shelf.server)
    assert (plain["offset"], plain["limit"], len(plain["values"])) == (0, 50, min(50, len(shelf.packages)))
    assert http(shelf.server, "GET", "/api/v2beta/packages?").json == plain
    assert http(shelf.server, "GET", "/api/v2/packages/").json == plain


def test_past_the_end_and_limit_zero_are_empty_pages_with_the_true_total(shelf):
    total = len(shelf.packages)
    for query in ("limit=0", "offset=1000", f"offset={EVERYTHING}", f"offset={total}&limit={EVERYTHING}"):
        answer = page(shelf.server, query)
        assert (answer["values"], answer["total"]) == ([], total), query


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=9223372036854775808",
        "limit=" + "9" * 300,
        "limit=ten",
        "limit=1.5",
        "limit=1e3",
        "limit=",
        "offset=-1",
        "offset=x",
        "offset=",
        "offset=0x10",
        "sortBy=Size",
        "sortBy=",
        "sortDirection=Up",
        "hasSBOM=maybe",
        "hashes=abc",
        "hashes=",
        "hashes=" + "g" * 64,
        "hashes=" + "a" * 63,
        "hashes=" + "a" * 65,
        "hashes=" + "a" * 64 + "&hashes=" + "b" * 63,
        "name=%ff",
        "nameContains=%ED%A0%80",
    ],
)
def test_a_malformed_query_is_400_that_names_the_parameter(shelf, query):
    answer = http(shelf.server, "GET", "/api/v2beta/packages?" + query)
    error = refused(answer, 400, "invalid_entity")
    if "%" not in query:
        assert query.partition("=")[0] in error["msg"], error


def test_unknown_parameters_are_ignored(shelf):
    plain = page(shelf.server)
    for query in (
        "packageId=x&ContentLength=5",
        "Limit=1",
        "limits[]=x",
        "[]=",
        "=",
        "&&",
        "%00=%00",
        "null",
    ):
        assert page(shelf.server, query) == plain, query


def test_a_comma_is_a_character_in_every_value(shelf):
    everything = shelf.packages
    for query, count in (
        ("hardwareIds=a,b", sum("a,b" in one["hardwareIds"] for one in everything)),
        ("hardwareIds=a%2Cb", sum("a,b" in one["hardwareIds"] for one in everything)),
        ("hardwareIds[]=docker-compose,verdin", 0),
        ("packageIds=app-1,App-1", 0),
        ("name=net/edge,1", 3),
        ("nameContains=edge,", 3),
        ("packageSource=targets.json,x", 0),
    ):
        assert page(shelf.server, query)["total"] == count, query


def test_hashes_are_found_in_either_case(shelf):
    digest = HASHES[0]
    assert ids(shelf.server, "hashes=" + digest.upper()) == ids(shelf.server, "hashes=" + digest)


def test_the_newest_of_a_name_is_the_first_of_a_filtered_list_with_raw_slashes(shelf):
    query = "nameContains=net/edge&hardwareIds=a&sortBy=Filename&sortDirection=Desc"
    found = page(shelf.server, query)["values"]
    wanted = {"nameContains": "net/edge", "hardwareIds": ["a"], "sortBy": "Filename"}
    assert found == shelf.page(wanted)[0]
    assert found[0]["packageId"] == max(one["packageId"] for one in found)


def test_lists_are_json_with_all_members_of_a_page_streamed_or_not(shelf):
    for limit in (1, EVERYTHING):
        answer = http(shelf.server, "GET", f"/api/v2/packages?limit={limit}")
        assert answer.headers["content-type"] == "application/json"
        assert set(answer.json) == {"values", "total", "offset", "limit"}
        for one in answer.json["values"]:
            assert isinstance(one["hardwareIds"], list)
            assert one["packageSource"] == "targets.json"
            assert one["createdAt"] and one["hashes"]["sha256"] and isinstance(one["size"], int)
