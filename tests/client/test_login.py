"""Client credentials: where the client logs in, when it does so again, and what a refusal says."""

from collections.abc import Callable
from urllib.parse import parse_qs

import pytest

import torizon_io_api
from client.stub import Answer, Seen, Stub, error, package, page
from torizon_io_api import PackagesApi
from torizon_io_api.login import Login

TOKEN_PATH = "/auth/realms/ota-users/protocol/openid-connect/token"


def configured(stub: Stub, **more: str) -> torizon_io_api.Configuration:
    return torizon_io_api.Configuration(host=stub.host, client_id="ci", client_secret="s&cret", **more)  # type: ignore[arg-type]


def logged_in(stub: Stub, **more: str) -> PackagesApi:
    return PackagesApi(torizon_io_api.ApiClient(configured(stub, **more)))


class Issuer:
    """Hands out token-1, token-2, ... and answers `otherwise` to everything else."""

    def __init__(self, otherwise: Callable[[Seen], Answer]) -> None:
        self.issued = 0
        self.otherwise = otherwise

    def __call__(self, seen: Seen) -> Answer:
        if seen.target != TOKEN_PATH:
            return self.otherwise(seen)
        self.issued += 1
        return Answer(value={"access_token": f"token-{self.issued}", "expires_in": 3600})


def only_token_2(good: Answer, bad: Answer) -> Issuer:
    return Issuer(lambda seen: good if seen.headers["Authorization"] == "Bearer token-2" else bad)


def test_one_login_serves_many_calls(stub: Stub) -> None:
    stub.decide(Issuer(lambda seen: page(package())))
    api = logged_in(stub)
    api.get_packages()
    api.get_packages()
    assert [seen.method for seen in stub.seen] == ["POST", "GET", "GET"]
    assert stub.seen[0].headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert "Authorization" not in stub.seen[0].headers
    assert parse_qs(stub.seen[0].body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["ci"],
        "client_secret": ["s&cret"],
    }
    assert [seen.headers.get("Authorization") for seen in stub.seen[1:]] == ["Bearer token-1"] * 2


def test_token_url_and_scope_can_be_given(stub: Stub) -> None:
    stub.answer(Answer(value={"access_token": "t"}), page())
    logged_in(stub, token_url=f"{stub.url}/login", scope="packages:read").get_packages()
    assert stub.seen[0].target == "/login"
    assert parse_qs(stub.seen[0].body.decode())["scope"] == ["packages:read"]


def test_a_401_makes_the_client_log_in_once_more_and_no_more_than_that(stub: Stub) -> None:
    stub.decide(only_token_2(page(package()), error(401, "token revoked")))
    assert logged_in(stub).get_packages().total == 1
    stub.seen.clear()
    stub.decide(Issuer(lambda seen: error(401, "token revoked")))
    with pytest.raises(torizon_io_api.UnauthorizedException, match="token revoked"):
        logged_in(stub).get_packages()
    assert [seen.method for seen in stub.seen] == ["POST", "GET", "POST", "GET"]


def test_an_upload_refused_with_401_is_sent_again_with_the_new_token(stub: Stub) -> None:
    early = Answer(401, error(401, "token expired").value, early=True)
    stub.decide(only_token_2(Answer(value=package()), early))
    logged_in(stub).post_packages("a", "1", "BINARY", body=b"abc")
    assert stub.seen[-1].body == b"abc"
    assert stub.seen[-1].headers["Authorization"] == "Bearer token-2"


def test_a_token_is_replaced_30_seconds_before_its_end(stub: Stub) -> None:
    now = [1000.0]
    issued: list[str] = []

    def fetch(call: object) -> dict[str, object]:
        issued.append(f"token-{len(issued) + 1}")
        return {"access_token": issued[-1], "expires_in": 3600}

    login = Login(configured(stub), fetch, clock=lambda: now[0])
    assert login.token() == "token-1"
    now[0] += 3569
    assert login.token() == "token-1"
    now[0] += 1
    assert login.token() == "token-2"


def test_forgetting_an_old_token_does_not_throw_away_the_new_one(stub: Stub) -> None:
    issued = iter(["first", "second", "third"])
    login = Login(configured(stub), lambda call: {"access_token": next(issued)})
    old = login.token()
    login.forget(old)
    assert login.token() == "second"
    login.forget(old)
    assert login.token() == "second"


def test_a_refused_login_says_who_was_refused_where_and_why(stub: Stub) -> None:
    stub.answer(Answer(401, {"error": "invalid_client", "error_description": "unknown client"}))
    with pytest.raises(torizon_io_api.UnauthorizedException) as caught:
        logged_in(stub).get_packages()
    assert str(caught.value).startswith(
        f"login of client ci at {stub.url}{TOKEN_PATH} failed: invalid_client"
    )
    assert "s&cret" not in str(caught.value)


def test_a_busy_token_endpoint_is_asked_again(stub: Stub, pauses: list[float]) -> None:
    stub.answer(
        error(429, "slowly", Retry_After="2"), Answer(drop=True), Answer(value={"access_token": "t"}), page()
    )
    logged_in(stub).get_packages()
    assert pauses == [2.0, 1.0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": "x"},
        {"client_secret": "x"},
        {"access_token": "t", "client_id": "x", "client_secret": "y"},
        {"host": "app.torizon.io"},
        {"host": "ftp://app.torizon.io/"},
        {"host": "https://x/api?y=z"},
    ],
)
def test_a_configuration_that_cannot_work_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        torizon_io_api.Configuration(**wrong)  # type: ignore[arg-type]


def test_a_configuration_shows_no_secret() -> None:
    configuration = torizon_io_api.Configuration("http://x/api", client_id="ci", client_secret="hidden")
    assert "hidden" not in repr(configuration)
