"""Client credentials (RFC 6749, 4.4): a token is fetched when first needed, and again before it runs out."""

import json
import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any
from urllib.parse import urlencode

from .call import Call
from .configuration import Configuration
from .exceptions import ApiException

EARLY = 30.0
"""Seconds before its end at which a token is replaced: a request that takes a while must not outlive it."""

FetchToken = Callable[[Call[Mapping[str, Any]]], Mapping[str, Any]]
"""Sends the call to the token URL, without a token, and returns the JSON document that it answers."""


class Login:
    """The current token of one client; safe to use from several threads."""

    def __init__(
        self, configuration: Configuration, fetch: FetchToken, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._configuration = configuration
        self._fetch = fetch
        self._clock = clock
        self._lock = Lock()
        self._token: str | None = None
        self._until = 0.0

    def token(self) -> str:
        """A token with some life left. Raises ApiException when the server refuses the client."""
        with self._lock:
            if self._token is None or self._clock() >= self._until:
                self._renew()
            return self._token or ""

    def forget(self, token: str) -> None:
        """After a 401: this token is no good any more; another thread may have replaced it already."""
        with self._lock:
            if self._token == token:
                self._token = None

    def _renew(self) -> None:
        self._token = None
        asked_at = self._clock()
        try:
            answer = self._fetch(_request(self._configuration))
        except ApiException as error:
            raise _explained(error, self._configuration) from error
        token, lifetime = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or not token:
            raise ApiException(0, f"{self._configuration.token_url} answered without an access_token")
        # RFC 6749 only recommends expires_in; a 401 tells as well.
        self._until = asked_at + lifetime - EARLY if isinstance(lifetime, int | float) else float("inf")
        self._token = token


def _request(configuration: Configuration) -> Call[Mapping[str, Any]]:
    form = {
        "grant_type": "client_credentials",
        "client_id": configuration.client_id,
        "client_secret": configuration.client_secret,
    }
    if configuration.scope:
        form["scope"] = configuration.scope
    return Call(
        method="POST",
        path=configuration.token_url,
        decode=dict,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        body=urlencode(form).encode(),
        repeat_if_lost=True,
        repeat_if_refused=True,
    )


def _explained(error: ApiException, configuration: Configuration) -> ApiException:
    """The same exception, saying who was refused where; RFC 6749, 5.2 has error documents of its own."""
    if not error.status:
        return error
    whose = f"login of client {configuration.client_id} at {configuration.token_url}"
    reason = f"{whose} failed: {_oauth_error(error)}"
    return type(error)(error.status, reason, error.body, None, error.headers)


def _oauth_error(error: ApiException) -> str:
    try:
        document = json.loads(error.body or "")
        words = [document["error"], document.get("error_description")]
    except (ValueError, KeyError, TypeError):
        return str(error)
    return ", ".join(str(word) for word in words if word)
