"""Which calls are sent again, when, and how long the client waits before."""

import io
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

import torizon_io_api
from client.stub import Answer, Stub, error, package, page
from torizon_io_api import EditPackage, PackagesApi
from torizon_io_api.repeating import Patience
from torizon_io_api.rest import ApiException


@pytest.mark.parametrize("status", [420, 429, 503])
def test_a_busy_server_is_asked_again_when_it_said(
    stub: Stub, api: PackagesApi, pauses: list[float], status: int
) -> None:
    stub.answer(error(status, "not now", Retry_After="7"), page(package()))
    assert api.get_packages().total == 1
    assert pauses == [7.0]


def test_without_retry_after_the_reset_of_the_rate_limit_counts(
    stub: Stub, api: PackagesApi, pauses: list[float]
) -> None:
    stub.answer(error(420, "not now", X_RateLimit_Reset="9"), page())
    api.get_packages()
    assert pauses == [9.0]


def test_without_any_word_about_time_the_pauses_grow(
    stub: Stub, api: PackagesApi, pauses: list[float]
) -> None:
    stub.answer(error(503, "overloaded"))
    with pytest.raises(torizon_io_api.ServiceException, match="overloaded"):
        api.get_packages()
    assert pauses == [0.5, 1.0, 2.0, 4.0]
    assert len(stub.seen) == 5


def test_no_repetition_when_none_is_wanted(stub: Stub, pauses: list[float]) -> None:
    stub.answer(error(503, "overloaded"))
    configuration = torizon_io_api.Configuration(host=stub.host, retries=0)
    with torizon_io_api.ApiClient(configuration) as client, pytest.raises(ApiException):
        torizon_io_api.PackagesApi(client).get_packages()
    assert len(stub.seen) == 1
    assert pauses == []


def test_a_server_that_wants_more_time_than_the_client_has_is_not_waited_for(
    stub: Stub, api: PackagesApi, pauses: list[float]
) -> None:
    stub.answer(error(429, "come back tomorrow", Retry_After="86400"))
    with pytest.raises(ApiException, match="come back tomorrow"):
        api.get_packages()
    assert pauses == []


def test_all_waits_of_a_call_together_are_bounded() -> None:
    slept: list[float] = []
    patience = Patience(100, seconds=10, sleep=slept.append)
    while patience.wait({"Retry-After": "4"}):
        pass
    assert slept == [4.0, 4.0]


def test_retry_after_may_be_a_date() -> None:
    slept: list[float] = []
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert Patience(1, sleep=slept.append).wait({"Retry-After": soon})
    assert 25 < slept[0] <= 30


@pytest.mark.parametrize("nonsense", ["soon", "", "1.5e"])
def test_an_unreadable_retry_after_counts_as_none(nonsense: str) -> None:
    slept: list[float] = []
    assert Patience(1, sleep=slept.append).wait({"Retry-After": nonsense})
    assert slept == [0.5]


def test_a_lost_answer_to_a_read_or_a_delete_is_asked_for_again(
    stub: Stub, api: PackagesApi, pauses: list[float]
) -> None:
    stub.answer(Answer(drop=True), page())
    api.get_packages()
    stub.answer(Answer(drop=True), Answer())
    api.delete_packages_packageid("a-1")
    assert len(stub.seen) == 4
    assert pauses == [0.5, 0.5]


def test_a_package_that_is_gone_when_its_delete_is_repeated_was_deleted(
    stub: Stub, api: PackagesApi, pauses: list[float]
) -> None:
    stub.answer(Answer(drop=True), error(404, "no such package"))
    assert api.delete_packages_packageid_with_http_info("a-1").status_code == 404
    stub.answer(error(404, "no such package"))
    with pytest.raises(torizon_io_api.NotFoundException):
        api.delete_packages_packageid("a-1")


@pytest.mark.parametrize("trouble", [Answer(drop=True), error(503, "busy")])
def test_an_edit_is_never_repeated(
    stub: Stub, api: PackagesApi, pauses: list[float], trouble: Answer
) -> None:
    stub.answer(trouble, Answer(value=package()))
    with pytest.raises(ApiException):
        api.patch_packages_packageid("a-1", EditPackage(comment="x"))
    assert len(stub.seen) == 1


def test_an_upload_that_was_refused_for_now_is_sent_again_as_a_whole(
    stub: Stub, api: PackagesApi, pauses: list[float]
) -> None:
    stub.answer(error(503, "busy", Retry_After="1"), Answer(value=package()))
    api.post_packages("a", "1", "BINARY", body=io.BytesIO(b"abc"))
    assert [seen.body for seen in stub.seen] == [b"abc", b"abc"]
    assert pauses == [1.0]


def test_an_upload_from_a_pipe_is_not_repeated(stub: Stub, api: PackagesApi, pauses: list[float]) -> None:
    class Pipe:
        def __init__(self) -> None:
            self.left = io.BytesIO(b"abc")

        def read(self, size: int, /) -> bytes:
            return self.left.read(size)

    stub.answer(error(503, "busy"), Answer(value=package()))
    with pytest.raises(torizon_io_api.ServiceException):
        api.post_packages("a", "1", "BINARY", 3, Pipe())
    assert len(stub.seen) == 1


def test_an_upload_whose_answer_was_lost_is_left_to_the_caller(
    stub: Stub, api: PackagesApi, pauses: list[float]
) -> None:
    stub.answer(Answer(drop=True), Answer(value=package()))
    with pytest.raises(ApiException) as caught:
        api.post_packages("a", "1", "BINARY", body=b"abc")
    assert caught.value.status == 0
    assert len(stub.seen) == 1
