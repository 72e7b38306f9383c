"""One request, one answer: the way to the server, without any opinion about what is sent or sent again.

`ApiException` is importable from here because that is where code written for the documented client looks for
it.
"""

from collections.abc import Mapping
from typing import Any

from urllib3 import BaseHTTPResponse, PoolManager, ProxyManager
from urllib3 import Timeout as Limits
from urllib3.exceptions import HTTPError, SSLError

from .call import Call, T, Timeout
from .configuration import Configuration
from .connections import PlainPool, TlsPool
from .exceptions import ApiException
from .upload import Upload

__all__ = ["ApiException", "Transport"]

CONNECT_SECONDS = 10.0
# The answer to an upload comes only after gigabytes were written out durably, maybe by a proxy first.
READ_SECONDS = 300.0


class Transport:
    """A pool of connections; safe to use from several threads."""

    def __init__(self, configuration: Configuration) -> None:
        options: dict[str, Any] = {
            "maxsize": 8,
            "cert_reqs": "CERT_REQUIRED" if configuration.verify_ssl else "CERT_NONE",
            "ca_certs": configuration.ssl_ca_cert,
        }
        proxy = configuration.proxy
        self._pool = ProxyManager(proxy, **options) if proxy else PoolManager(**options)
        self._pool.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}

    def close(self) -> None:
        """Closes the idle connections."""
        self._pool.clear()

    def send(self, call: Call[T], url: str, headers: Mapping[str, str], *, preload: bool) -> BaseHTTPResponse:
        """The answer, whatever its status; with `preload` its body has been read completely.

        Redirects are not followed: a token, or a package, must not end up where nobody meant it to go.
        Raises ApiException with status 0 when no whole answer came.
        """
        limits = _limits(call.timeout)
        if isinstance(call.body, Upload):
            call.body.stall = limits.read_timeout if isinstance(limits.read_timeout, int | float) else None
        try:
            return self._pool.urlopen(
                call.method,
                url,
                redirect=False,
                body=call.body,
                headers=headers,
                retries=False,
                timeout=limits,
                preload_content=preload,
            )
        except HTTPError as error:
            raise ApiException(0, f"no answer from {url.partition('?')[0]}: {_cause(error)}") from error


def _limits(timeout: Timeout) -> Limits:
    if timeout is None:
        return Limits(connect=CONNECT_SECONDS, read=READ_SECONDS)
    connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    return Limits(connect=connect, read=read)


def _cause(error: HTTPError) -> str:
    """What happened, without the object descriptions that urllib3 puts around it."""
    inner = error.args[-1] if error.args else error
    if isinstance(error, SSLError) or (len(error.args) > 1 and isinstance(inner, Exception)):
        return f"{inner}"
    return str(error).rpartition("): ")[2] or type(error).__name__
