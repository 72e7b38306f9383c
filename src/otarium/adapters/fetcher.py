"""One GET of a publisher's file, from a server that nobody vouches for.

The name is resolved here, every address is judged, and the connection goes to a judged address, while SNI,
certificate and Host stay the name's: a name that changes its address after the judgement gains nothing.
Bytes and seconds are counted, whatever the other side says of its length.

httpx has no public place for a judgement of addresses; httpcore, the layer under it, has one and reads no
proxies or netrc from the environment, so it is used alone.
"""

import io
import re
import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

import httpcore

from otarium.adapters.places import Guard, Network, Place, Resolver, resolve
from otarium.domain.delegation import FILE_BYTES
from otarium.domain.errors import Broken, SourceUnreachable
from otarium.services.ports_sources import Fetched, FetchRequest

REDIRECTS = 3
PORTS = frozenset({443, 8443})
_REDIRECT = frozenset({301, 302, 303, 307, 308})
_VALIDATOR = re.compile(r"[\x20-\x7e]{1,1024}")
_LATER = "It is tried again later."


class GuardedFetcher:
    """Safe to share between threads: a fetch leaves nothing behind, not even a connection."""

    def __init__(
        self,
        *,
        ca_file: Path | None = None,
        ports: frozenset[int] = PORTS,
        limit: int = FILE_BYTES,
        connect_seconds: float = 5.0,
        first_byte_seconds: float = 10.0,
        total_seconds: float = 30.0,
        allowed_networks: Sequence[Network] = (),
        resolver: Resolver = resolve,
    ) -> None:
        """`ca_file` is trusted beside the machine's authorities, `allowed_networks` beside public ones."""
        self._guard = Guard(ports, tuple(allowed_networks), resolver)
        # Made when first needed: reading the machine's authorities is a part of a start that is felt.
        self._tls = cache(partial(_tls, ca_file))
        if ca_file is not None:
            self._tls()  # a file that cannot be used is told of now
        self._limit = limit
        self._connect, self._first_byte, self._total = connect_seconds, first_byte_seconds, total_seconds

    def fetch(self, request: FetchRequest) -> Fetched | None:
        clock = _Clock(self._total)
        place = self._guard.place(request.uri, request.insecure)
        first, private = place.host, _private(request)
        for _ in range(REDIRECTS + 1):
            answer = self._get(place, private, request, clock)
            if not isinstance(answer, Place):
                return answer
            if answer.origin != place.origin:
                private = {}
            place = answer
        raise SourceUnreachable(
            f"{first} redirects more than {REDIRECTS} times; use the URL that it leads to in the end."
        )

    def _get(
        self, place: Place, private: Mapping[str, str], request: FetchRequest, clock: "_Clock"
    ) -> Fetched | Place | None:
        host = place.host
        backend = _JudgedBackend(self._guard, request.insecure, clock, self._first_byte)
        headers, tls = {**private, **_public(place)}, self._tls()
        clock.step("resolve and accept a connection", self._connect)
        try:
            with (
                httpcore.ConnectionPool(ssl_context=tls, network_backend=backend) as pool,
                pool.stream("GET", _url(place), headers=list(headers.items())) as response,
            ):
                clock.step("finish its answer", self._total)
                return self._judged(place, private, request, response, clock)
        except (TimeoutError, httpcore.TimeoutException):
            raise clock.refusal(host) from None
        except (httpcore.NetworkError, OSError) as error:
            raise SourceUnreachable(f"{host} cannot be reached: {_reason(error)}. {_LATER}") from None
        # The texts of these repeat what was sent and received, secrets among it.
        except (httpcore.LocalProtocolError, TypeError):
            raise SourceUnreachable(
                f"The request headers for {host} are not valid in HTTP; set them again for this source."
            ) from None
        except httpcore.ProtocolError:
            raise SourceUnreachable(f"{host} broke off its answer or does not speak HTTP. {_LATER}") from None

    def _judged(
        self,
        place: Place,
        private: Mapping[str, str],
        request: FetchRequest,
        response: httpcore.Response,
        clock: "_Clock",
    ) -> Fetched | Place | None:
        host, status = place.host, response.status
        if status == 304 and {"if-none-match", "if-modified-since"} & private.keys():
            return None
        if status in _REDIRECT and request.redirects:
            return self._redirected(place, request, response)
        if status in _REDIRECT:
            raise SourceUnreachable(
                f"{host} answers with a redirect (status {status}). "
                "Use the URL that it leads to, or allow redirects for this source."
            )
        if status != 200:
            raise SourceUnreachable(f"{host} answers with status {status}, not with a file. {_hint(status)}")
        encodings = {value.strip().lower() for value in _values(response, "content-encoding")}
        if encodings - {"identity"}:
            raise SourceUnreachable(
                f"{host} sends a compressed file though none was asked for; turn its Content-Encoding off."
            )
        body = self._body(host, response, clock)
        return Fetched(body, _validator(response, "etag"), _validator(response, "last-modified"))

    def _redirected(self, place: Place, request: FetchRequest, response: httpcore.Response) -> Place:
        locations = _values(response, "location")
        if len(locations) != 1:
            raise SourceUnreachable(f"{place.host} redirects to {len(locations)} places; it must be one.")
        return self._guard.place(locations[0], request.insecure, base=place)

    def _body(self, host: str, response: httpcore.Response, clock: "_Clock") -> bytes:
        if any(int(length) > self._limit for length in _values(response, "content-length")):
            raise self._too_large(host)
        # A list of small pieces would be many times as large as the pieces; this gives its bytes uncopied.
        body = io.BytesIO()
        for piece in response.iter_stream():
            clock.left()
            body.write(piece)
            if body.tell() > self._limit:
                raise self._too_large(host)
        return body.getvalue()

    def _too_large(self, host: str) -> SourceUnreachable:
        return SourceUnreachable(
            f"{host} sends more than {self._limit} bytes, which devices would not read; shorten the list."
        )


class _Clock:
    """What is left of the time: of the step that is being done, and of the whole fetch."""

    def __init__(self, total: float) -> None:
        self._total = total
        self._end = time.monotonic() + total
        self.step("finish its answer", total)

    def step(self, doing: str, seconds: float) -> None:
        self._doing, self._seconds = doing, seconds
        self._step_end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds. Raises TimeoutError when there are none."""
        left = min(self._step_end, self._end) - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def refusal(self, host: str) -> SourceUnreachable:
        doing, seconds = self._doing, self._seconds
        if time.monotonic() >= self._end:
            doing, seconds = "finish its answer", self._total
        return SourceUnreachable(f"{host} did not {doing} within {seconds:g} s. {_LATER}")


class _JudgedBackend(httpcore.NetworkBackend):
    """Connects to the addresses that were judged, and asks nobody for them again."""

    def __init__(self, guard: Guard, insecure: bool, clock: _Clock, first_byte: float) -> None:
        self._guard, self._insecure, self._clock, self._first_byte = guard, insecure, clock, first_byte
        self._tcp = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """The first address that answers; a silent one costs its share of the time, not all of it."""
        addresses = self._guard.addresses(host, port, self._insecure, self._clock.left())
        failure: Exception = httpcore.ConnectError()
        for tried, address in enumerate(addresses):
            share = self._clock.left() / (len(addresses) - tried)
            try:
                stream = self._tcp.connect_tcp(address, port, share)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _TimedStream(stream, self._clock, self._first_byte)
        raise failure


class _TimedStream(httpcore.NetworkStream):
    """Every wait is cut to what is left, so that single bytes in good time do not add up to hours."""

    def __init__(self, stream: httpcore.NetworkStream, clock: _Clock, first_byte: float) -> None:
        self._stream, self._clock, self._first_byte = stream, clock, first_byte

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._clock.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """The request goes out, so from here on the answer is waited for."""
        self._clock.step("begin its answer", self._first_byte)
        self._stream.write(buffer, self._clock.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._clock.left())
        return _TimedStream(stream, self._clock, self._first_byte)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        if ca_file is not None:
            context.load_verify_locations(cafile=ca_file)
    except OSError as error:
        raise Broken(
            f"the file {ca_file} of authorities for sources cannot be used ({error.strerror or 'no PEM'}); "
            "name a PEM file of certificates"
        ) from None
    return context


def _url(place: Place) -> httpcore.URL:
    scheme, host, target = (part.encode("ascii") for part in (place.scheme, place.host, place.target))
    return httpcore.URL(scheme=scheme, host=host, port=place.port, target=target)


def _public(place: Place) -> dict[str, str]:
    return {
        "host": place.authority,
        "user-agent": "otarium",
        "accept": "application/json",
        "accept-encoding": "identity",
    }


def _private(request: FetchRequest) -> dict[str, str]:
    """What only the origin that the operator named may see."""
    validators = {"if-none-match": request.etag, "if-modified-since": request.last_modified}
    stated = {name: value for name, value in validators.items() if value is not None}
    return {name.lower(): value for name, value in request.headers.items()} | stated


def _values(response: httpcore.Response, name: str) -> list[str]:
    return [value.decode("latin-1") for key, value in response.headers if key.lower() == name.encode()]


def _validator(response: httpcore.Response, name: str) -> str | None:
    """Kept and sent back as it is, so only if it is short plain text."""
    values = _values(response, name)
    return values[0] if len(values) == 1 and _VALIDATOR.fullmatch(values[0]) else None


def _reason(error: Exception) -> str:
    """Words of this machine about a failed connection; httpcore wraps the original in its own."""
    inner = error.args[0] if error.args else error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({inner.verify_message}); "
            "if an authority of your own signed it, name the file of that authority in the settings"
        )
    if isinstance(inner, ssl.SSLError):
        return f"TLS failed ({inner.reason})"
    return (isinstance(inner, OSError) and inner.strerror) or "the connection broke"


def _hint(status: int) -> str:
    if status in (401, 403):
        return "Check the request headers of this source."
    return "Check the fetch URL." if status < 500 else _LATER
