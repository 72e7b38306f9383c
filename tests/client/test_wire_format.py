"""What goes over the wire, byte for byte, and what is never sent at all."""

import json

import pytest
from pydantic import ValidationError

import torizon_io_api
from client.stub import Answer, Stub, page
from client.stub import package as package_json
from torizon_io_api import EditPackage, PackagesApi, SortDirection, TargetItemsSort


def test_all_filters_of_a_list_travel_as_the_documented_client_sends_them(
    stub: Stub, api: PackagesApi
) -> None:
    stub.answer(page())
    api.get_packages(
        offset=0,
        limit=9223372036854775807,
        name_contains="a b+c/d&e,é",
        package_source=["targets.json", "tdx-nightly.json"],
        hardware_ids=["a,b", "c d"],
        hashes=["x"],
        package_ids=["p/1", "q+2"],
        sort_by=TargetItemsSort.FILENAME,
        sort_direction=SortDirection.ASC,
    )
    assert stub.targets == [
        "GET /api/v2beta/packages?offset=0&limit=9223372036854775807&nameContains=a%20b%2Bc/d%26e%2C%C3%A9"
        "&packageSource=targets.json&packageSource=tdx-nightly.json&hardwareIds=a%2Cb&hardwareIds=c%20d&hashes=x"
        "&packageIds=p/1&packageIds=q%2B2&sortBy=Filename&sortDirection=Asc"
    ]


def test_absent_and_empty_lists_vanish_while_empty_text_and_zero_stay(stub: Stub, api: PackagesApi) -> None:
    stub.answer(page())
    api.get_packages()
    api.get_packages(hardware_ids=[], limit=0, name="")
    api.get_packages(has_sbom=False, id_contains="x", version="1")
    assert stub.targets == [
        "GET /api/v2beta/packages",
        "GET /api/v2beta/packages?limit=0&name=",
        "GET /api/v2beta/packages?idContains=x&version=1&hasSBOM=false",
    ]


def test_an_upload_carries_its_facts_in_the_query_and_its_bytes_in_the_body(
    stub: Stub, api: PackagesApi
) -> None:
    stub.answer(Answer(value=package_json()))
    api.post_packages("my app", "1.0+b", "BINARY", 3, b"abc", hardware_id=["docker-compose", "x y"])
    (seen,) = stub.seen
    assert stub.targets == [
        "POST /api/v2beta/packages?name=my%20app&version=1.0%2Bb&hardwareId=docker-compose"
        "&hardwareId=x%20y&targetFormat=BINARY"
    ]
    assert seen.body == b"abc"
    assert seen.headers["Content-Type"] == "application/octet-stream"
    assert seen.headers["Content-Length"] == "3"
    assert "Transfer-Encoding" not in seen.headers


@pytest.mark.parametrize(
    ("package_id", "segment"),
    [
        ("a/b-1", "a%2Fb-1"),
        ("a+b c%é-1", "a%2Bb%20c%25%C3%A9-1"),
        ("q?r#s:t@u-1", "q%3Fr%23s%3At%40u-1"),
        ("%2Fx-1", "%252Fx-1"),
        ("x..y-1", "x..y-1"),
    ],
)
def test_an_id_is_one_path_segment_whatever_it_contains(
    stub: Stub, api: PackagesApi, package_id: str, segment: str
) -> None:
    stub.answer(Answer(value=package_json()))
    api.get_packages_packageid(package_id)
    api.delete_packages_packageid(package_id)
    api.patch_packages_packageid(package_id, EditPackage())
    assert stub.targets == [f"{verb} /api/v2beta/packages/{segment}" for verb in ("GET", "DELETE", "PATCH")]


@pytest.mark.parametrize("package_id", ["", ".", ".."])
def test_an_id_that_would_turn_into_another_path_is_never_sent(
    stub: Stub, api: PackagesApi, package_id: str
) -> None:
    with pytest.raises(ValueError):
        api.delete_packages_packageid(package_id)
    assert stub.seen == []


def test_the_external_calls_ask_at_their_documented_paths(stub: Stub, api: PackagesApi) -> None:
    stub.answer(page(), Answer(value={"tdx-nightly": {"friendlyName": "Nightly"}}), Answer(body=b""))
    assert api.get_packages_external(offset=1, limit=2, id_contains="x/y").values == []
    assert api.get_packages_external_info()["tdx-nightly"].friendly_name == "Nightly"
    api.get_packages_external_refresh_source_file_name("tdx-nightly.json")
    assert stub.targets == [
        "GET /api/v2beta/packages_external?offset=1&limit=2&idContains=x/y",
        "GET /api/v2beta/packages_external/info",
        "GET /api/v2beta/packages_external/refresh/tdx-nightly.json",
    ]


def test_an_edit_sends_null_for_what_is_cleared_and_nothing_for_what_is_kept(
    stub: Stub, api: PackagesApi
) -> None:
    stub.answer(Answer(value=package_json()))
    api.patch_packages_packageid("a-1", EditPackage(comment=None, hardware_ids=["x"]))
    api.patch_packages_packageid("a-1", EditPackage())
    assert [json.loads(seen.body) for seen in stub.seen] == [{"comment": None, "hardwareIds": ["x"]}, {}]
    assert stub.seen[0].headers["Content-Type"] == "application/json"


def test_every_request_says_who_asks_and_what_it_accepts(stub: Stub, api: PackagesApi) -> None:
    stub.answer(page())
    api.api_client.set_default_header("X-Site", "plant 7")
    api.get_packages(_headers={"x-site": "plant 8", "X-Once": "1"})
    headers = stub.seen[0].headers
    assert headers["Authorization"] == "Bearer secret-token"
    assert headers["Accept"] == "application/json"
    assert headers["User-Agent"] == f"Otarium/{torizon_io_api.__version__}/python"
    assert {name.lower(): value for name, value in headers.items()}["x-site"] == "plant 8"
    assert headers["X-Once"] == "1"


def test_a_host_with_a_trailing_slash_makes_no_double_slash(stub: Stub) -> None:
    stub.answer(page())
    with torizon_io_api.ApiClient(torizon_io_api.Configuration(host=stub.host + "/")) as client:
        torizon_io_api.PackagesApi(client).get_packages()
    assert stub.targets == ["GET /api/v2beta/packages"]
    assert "Authorization" not in stub.seen[0].headers


@pytest.mark.parametrize(
    "wrong",
    [
        {"hardware_ids": "my-board"},
        {"offset": "1"},
        {"name": 7},
        {"sort_by": "Size"},
        {"_request_timeouts": 1},
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_sent(
    stub: Stub, api: PackagesApi, wrong: dict[str, object]
) -> None:
    with pytest.raises(ValidationError):
        api.get_packages(**wrong)  # type: ignore[arg-type]
    assert stub.seen == []


def test_words_for_sorting_may_be_plain_text(stub: Stub, api: PackagesApi) -> None:
    stub.answer(page())
    api.get_packages(sort_by="CreatedAt", sort_direction="Desc")  # type: ignore[arg-type]
    assert stub.targets == ["GET /api/v2beta/packages?sortBy=CreatedAt&sortDirection=Desc"]
