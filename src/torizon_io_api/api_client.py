"""Sends calls: adds who asks, repeats where that is safe, turns the answer into a value or an exception."""

import json
import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, cast

from urllib3 import BaseHTTPResponse, HTTPHeaderDict

from ._version import __version__
from .api_response import ApiResponse
from .call import Call, T
from .configuration import Configuration
from .exceptions import ApiException, exception_for
from .login import Login
from .repeating import BUSY, Patience
from .rest import Transport

log = logging.getLogger("torizon_io_api")


class ApiClient:
    """Connections and login shared by the calls of one program.

    A context manager; safe to use from several threads. `default_headers` go with every request.
    """

    def __init__(self, configuration: Configuration | None = None) -> None:
        self.configuration = configuration or Configuration()
        self.default_headers: dict[str, str] = {"User-Agent": f"Otarium/{__version__}/python"}
        self._transport = Transport(self.configuration)
        self._login: Login | None = None
        if self.configuration.client_id:
            self._login = Login(self.configuration, self._fetch_token)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections; the client opens new ones if it is used again."""
        self._transport.close()

    @property
    def user_agent(self) -> str:
        """What the client calls itself."""
        return self.default_headers["User-Agent"]

    @user_agent.setter
    def user_agent(self, value: str) -> None:
        self.default_headers["User-Agent"] = value

    def set_default_header(self, header_name: str, header_value: str) -> None:
        """Adds a header to every request from now on."""
        self.default_headers[header_name] = header_value

    def perform(self, call: Call[T]) -> ApiResponse[T]:
        """The parsed answer. Raises ApiException for any status but a success, and when no answer came."""
        response, repeated = self._send(call, self.configuration.host + call.target, preload=True)
        return _parsed(call, response, repeated=repeated)

    def open(self, call: Call[T]) -> BaseHTTPResponse:
        """The answer as urllib3 has it, of any status and with its body unread; the caller releases it."""
        return self._send(call, self.configuration.host + call.target, preload=False)[0]

    def _send(
        self, call: Call[T], url: str, *, preload: bool, anonymous: bool = False
    ) -> tuple[BaseHTTPResponse, bool]:
        """The last answer, and whether it is one to a repetition."""
        patience = Patience(self.configuration.retries)
        login = None if anonymous else self._login
        fresh_login = False
        repeated = False
        while True:
            token = None if anonymous else self._token()
            try:
                response = self._transport.send(call, url, self._headers(call, token), preload=preload)
            except ApiException as error:
                if not call.repeat_if_lost or not patience.wait(None):
                    raise
                log.info("%s %s again: %s", call.method, url, error)
                repeated = True
                continue
            if response.status == 401 and login is not None and call.repeatable and not fresh_login:
                login.forget(token or "")
                fresh_login = True
            elif response.status in BUSY and call.repeat_if_refused and patience.wait(response.headers):
                log.info("%s %s again: the server answered %s", call.method, url, response.status)
                repeated = True
            else:
                return response, repeated
            response.drain_conn()
            response.release_conn()

    def _token(self) -> str | None:
        return self._login.token() if self._login is not None else self.configuration.access_token

    def _headers(self, call: Call[T], token: str | None) -> HTTPHeaderDict:
        """Later ones win, whatever their case."""
        headers = HTTPHeaderDict({"Accept": "application/json"})
        if token:
            headers["Authorization"] = f"Bearer {token}"
        for more in (self.default_headers, call.headers):
            for name, value in more.items():
                headers[name] = value
        return headers

    def _fetch_token(self, call: Call[Mapping[str, Any]]) -> Mapping[str, Any]:
        response, _ = self._send(call, call.path, preload=True, anonymous=True)
        return _parsed(call, response, repeated=False).data


def _parsed(call: Call[T], response: BaseHTTPResponse, *, repeated: bool) -> ApiResponse[T]:
    raw = response.data
    status = response.status
    forgiven = status == 404 and repeated and call.gone_is_done
    if not 200 <= status < 300 and not forgiven:
        raise exception_for(status, response.reason, response.headers, raw)
    if call.decode is None:
        return ApiResponse(status, response.headers, cast(T, None), raw)
    try:
        data = call.decode(json.loads(raw))
    except (TypeError, ValueError) as error:
        shown = raw[:200].decode("utf-8", "replace")
        reason = f"the answer is not what the API documents (is `host` its base URL?): {shown!r}"
        raise ApiException(status, reason, raw.decode("utf-8", "replace"), None, response.headers) from error
    return ApiResponse(status, response.headers, data, raw)
