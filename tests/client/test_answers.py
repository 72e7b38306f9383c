"""How answers become values and exceptions."""

import socket
import time
from datetime import UTC, datetime
from uuid import UUID

import pytest

import torizon_io_api
from client.stub import Answer, Stub, error, package, page
from harness import PATIENCE
from torizon_io_api import Package, PackagesApi
from torizon_io_api.models.conflict_repr import ConflictRepr
from torizon_io_api.rest import ApiException


def test_a_page_becomes_models(stub: Stub, api: PackagesApi) -> None:
    stub.answer(page(package(), total=7))
    found = api.get_packages()
    assert (found.total, found.offset, found.limit) == (7, 0, 50)
    (one,) = found.values
    assert isinstance(one, Package)
    assert one.package_id == "my-app-1.0"
    assert one.created_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("values", [{}, {"values": None}])
def test_a_page_without_values_is_an_empty_list(
    stub: Stub, api: PackagesApi, values: dict[str, None]
) -> None:
    stub.answer(Answer(value={"total": 0, "offset": 0, "limit": 50, **values}))
    assert api.get_packages().values == []


def test_with_http_info_adds_status_headers_and_bytes(stub: Stub, api: PackagesApi) -> None:
    stub.answer(Answer(value=package(), headers={"ETag": '"x"'}))
    answer = api.get_packages_packageid_with_http_info("my-app-1.0")
    assert answer.status_code == 200
    assert answer.headers["etag"] == '"x"'
    assert answer.data.name == "my-app"
    assert b'"packageId": "my-app-1.0"' in answer.raw_data


def test_without_preload_content_hands_out_the_answer_unread_and_unjudged(
    stub: Stub, api: PackagesApi
) -> None:
    stub.answer(error(404, "no such package"))
    response = api.get_packages_packageid_without_preload_content("x")
    assert response.status == 404
    assert b"no such package" in response.read()
    response.release_conn()


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, torizon_io_api.BadRequestException),
        (401, torizon_io_api.UnauthorizedException),
        (403, torizon_io_api.ForbiddenException),
        (404, torizon_io_api.NotFoundException),
        (409, torizon_io_api.ConflictException),
        (422, torizon_io_api.UnprocessableEntityException),
        (507, torizon_io_api.ServiceException),
        (413, ApiException),
    ],
)
def test_each_status_has_its_exception_with_the_parsed_error(
    stub: Stub, api: PackagesApi, status: int, expected: type[ApiException]
) -> None:
    stub.answer(error(status, "what went wrong", "its_code"))
    with pytest.raises(ApiException) as caught:
        api.get_packages()
    assert type(caught.value) is expected
    assert caught.value.status == status
    assert caught.value.data is not None
    assert caught.value.data.code == "its_code"
    assert isinstance(caught.value.data.error_id, UUID)
    assert str(caught.value).startswith("what went wrong")


def test_a_conflict_carries_the_conflict_document(stub: Stub, api: PackagesApi) -> None:
    stub.answer(error(409, "exists already"))
    with pytest.raises(torizon_io_api.ConflictException) as caught:
        api.post_packages("a", "1", "BINARY", body=b"x")
    assert isinstance(caught.value.data, ConflictRepr)


@pytest.mark.parametrize("body", [b"<html>oops</html>", b'{"detail": "x"}', b"", b"\xff"])
def test_an_error_that_is_not_the_documented_json_keeps_its_body(
    stub: Stub, api: PackagesApi, body: bytes
) -> None:
    stub.answer(Answer(400, body=body))
    with pytest.raises(torizon_io_api.BadRequestException) as caught:
        api.get_packages()
    assert caught.value.data is None
    assert caught.value.body == body.decode("utf-8", "replace")
    assert "400" in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", b"[]", b'{"total": "many"}'])
def test_a_success_that_is_not_the_documented_json_says_to_look_at_the_host(
    stub: Stub, api: PackagesApi, body: bytes
) -> None:
    stub.answer(Answer(body=body))
    with pytest.raises(ApiException, match="host"):
        api.get_packages()
    with pytest.raises(ApiException, match="host"):
        api.get_packages_packageid("a-1")


def test_a_call_without_a_result_takes_any_body(stub: Stub, api: PackagesApi) -> None:
    stub.answer(Answer(body=b""), Answer(body=b"fine"))
    api.delete_packages_packageid("a-1")
    api.get_packages_external_refresh_source_file_name("s")


def test_a_redirect_is_not_followed_and_says_where_it_points(stub: Stub, api: PackagesApi) -> None:
    stub.answer(Answer(301, headers={"Location": "https://elsewhere.example/api"}))
    with pytest.raises(ApiException, match=r"https://elsewhere\.example/api"):
        api.post_packages("a", "1", "BINARY", body=b"x")
    assert len(stub.seen) == 1


def test_no_server_at_all_is_an_exception_with_status_0(pauses: list[float]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{unused.getsockname()[1]}/api/v2beta"
    api = PackagesApi(torizon_io_api.ApiClient(torizon_io_api.Configuration(host=host)))
    with pytest.raises(ApiException, match="Connection refused") as caught:
        api.get_packages()
    assert caught.value.status == 0
    assert len(pauses) == 4


@pytest.mark.parametrize("timeout", [0.2, (5, 0.2)])
def test_a_server_that_does_not_answer_in_time_is_left(
    stub: Stub, timeout: float | tuple[int, float]
) -> None:
    stub.answer(Answer(drop=True, keep_open=True))
    configuration = torizon_io_api.Configuration(host=stub.host, retries=0)
    begun = time.monotonic()
    with torizon_io_api.ApiClient(configuration) as client, pytest.raises(ApiException, match="timed out"):
        torizon_io_api.PackagesApi(client).get_packages(_request_timeout=timeout)
    assert time.monotonic() - begun < PATIENCE
