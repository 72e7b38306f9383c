"""The stub server and a client that talks to it."""

from collections.abc import Iterator
from functools import partial

import pytest

import torizon_io_api
from client.stub import Stub, serving
from torizon_io_api import api_client
from torizon_io_api.repeating import Patience


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving() as running:
        yield running


@pytest.fixture
def api(stub: Stub) -> Iterator[torizon_io_api.PackagesApi]:
    configuration = torizon_io_api.Configuration(host=stub.host, access_token="secret-token")
    with torizon_io_api.ApiClient(configuration) as client:
        yield torizon_io_api.PackagesApi(client)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between repetitions, in seconds, written down instead of slept."""
    asked: list[float] = []
    monkeypatch.setattr(api_client, "Patience", partial(Patience, sleep=asked.append))
    return asked
