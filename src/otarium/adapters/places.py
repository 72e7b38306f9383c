"""Where a fetch may go: URLs are taken apart, names resolved and addresses judged, each once and here."""

import ipaddress
import queue
import re
import socket
import string
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from otarium.domain.errors import SourceUnreachable
from otarium.domain.sources import URL_CHARACTERS

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], Sequence[str]]
"""(name, port) -> addresses; raises OSError."""

_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]+(\.[a-z0-9_-]+)*", re.ASCII)
_UNREADABLE = re.compile(r"[\x00-\x20\x7f\\]")
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"),
        *("fec0::/10", "3fff::/20", "192.0.0.0/24", "192.88.99.0/24"),
    )
)
"""Versions of Python call some of these global, though they lead to IPv4 addresses inside or to nobody."""


_NEVER = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("169.254.0.0/16", "fe80::/10", "224.0.0.0/4", "ff00::/8"),
        *("fd00:ec2::/32", "fd20:ce::254/128"),
        *("100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32"),
    )
)
"""Refused for insecure sources and listed networks too: clouds hand credentials to their machines there, at
link-local addresses, and at others: Amazon's and Google's of IPv6, Alibaba's, Azure's, Oracle's."""
_TRANSLATED = tuple(
    (ipaddress.IPv6Network(network), lengths)
    for network, lengths in (
        ("::/96", (96,)),
        ("::ffff:0:0/96", (96,)),
        ("::ffff:0:0:0/96", (96,)),
        ("64:ff9b::/96", (96,)),
        ("64:ff9b:1::/48", (48, 56, 64, 96)),
        ("2002::/16", (16,)),
    )
)
"""Where IPv6 leads on to IPv4, and behind how many bits that address stands (RFC 4291, 6052, 8215, 3056)."""


@dataclass(frozen=True, slots=True)
class Place:
    """The parts of a URL. Everything after the parser uses these, never the text again."""

    scheme: str
    host: str
    """ASCII; an IPv6 address is without brackets."""
    port: int
    target: str

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def uri(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


@dataclass(frozen=True, slots=True)
class Guard:
    """The rules of a repository; `insecure` lifts those on schemes, ports and addresses for one source."""

    ports: frozenset[int]
    allowed: tuple[Network, ...]
    resolver: Resolver

    def place(self, uri: str, insecure: bool, base: Place | None = None) -> Place:
        """Parse a URL, or a redirect from `base`. It is not repeated in messages: tokens may be in it."""
        what = f"The redirect from {base.host}" if base else "The fetch URL"
        try:
            place, user = _parse(uri, base)
        except ValueError:
            raise SourceUnreachable(
                f"{what} cannot be read; write it like https://host/path, shorter than {URL_CHARACTERS}."
            ) from None
        if user:
            raise SourceUnreachable(
                f"{what} to {place.host} has a user name or password in it; use a request header instead."
            )
        if place.scheme != "https" and not insecure:
            raise SourceUnreachable(
                f"{what} to {place.host} is not https; anybody on the way could withhold updates. "
                "Use https, or allow it for this source with insecure."
            )
        if place.port not in self.ports and not insecure:
            raise SourceUnreachable(
                f"{what} to {place.host} has the port {place.port}; sources use "
                f"{', '.join(map(str, sorted(self.ports)))}. "
                "Add it to OTARIUM_SOURCE_PORTS, or allow it for this source with insecure."
            )
        return place

    def addresses(self, host: str, port: int, insecure: bool, seconds: float) -> list[str]:
        """All addresses of a host; a forbidden one spoils the others, whoever put it there.
        Raises TimeoutError."""
        try:
            found = [
                ipaddress.ip_address(address) for address in _resolved(self.resolver, host, port, seconds)
            ]
        except TimeoutError:
            raise
        except (OSError, ValueError) as error:
            reason = (isinstance(error, OSError) and error.strerror) or "the answer is no address"
            raise SourceUnreachable(f"{host} was not found: {reason}. Check the name and the DNS.") from None
        if not found:
            raise SourceUnreachable(f"{host} was not found: it has no address. Check the name and the DNS.")
        for address in found:
            if any(one in network for one in _meant(address) for network in _NEVER):
                raise SourceUnreachable(
                    f"{host} has the address {address}, which is not public, and never allowed."
                )
            if not (insecure or is_public(address) or any(address in network for network in self.allowed)):
                raise SourceUnreachable(
                    f"{host} has the address {address}, which is not public. "
                    "Add its network to OTARIUM_SOURCE_NETWORKS, or allow it for this source with insecure."
                )
        return [str(address) for address in found]


def _meant(address: Address) -> Iterator[Address]:
    """An address, and those of IPv4 that it may lead on to."""
    yield address
    if not isinstance(address, ipaddress.IPv6Address):
        return
    for network, lengths in _TRANSLATED:
        if address in network:
            yield from (ipaddress.IPv4Address(_behind(int(address), length)) for length in lengths)
    yield from address.teredo or ()


def _behind(address: int, length: int) -> int:
    """The 32 bits behind a prefix; the eight in the middle of an address are left out (RFC 6052 2.2)."""
    if 32 < length < 96:
        address = (address >> 64 << 64) | ((address & (1 << 56) - 1) << 8)
    return address >> (96 - length) & 0xFFFFFFFF


def is_public(address: Address) -> bool:
    return (
        address.is_global
        and not (address.is_multicast or address.is_reserved)
        and not any(address in network for network in _NOT_PUBLIC)
    )


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, as this machine's resolver tells them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _resolved(resolver: Resolver, host: str, port: int, seconds: float) -> Sequence[str]:
    """Ask in a thread of its own, since getaddrinfo cannot be told when to stop; it is left alone then."""
    answers: queue.SimpleQueue[Sequence[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(resolver(host, port))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, name="otarium-resolver", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _parse(uri: str, base: Place | None) -> tuple[Place, bool]:
    """The place, and whether a user was named. Raises ValueError.

    What urlsplit would quietly drop or browsers read differently (blanks, backslashes) is refused before.
    """
    if len(uri) > URL_CHARACTERS or _UNREADABLE.search(uri):
        raise ValueError("unreadable")
    parts = urlsplit(urljoin(base.uri, uri) if base else uri)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("not a web address")
    port = _PORTS[parts.scheme] if parts.port is None else parts.port
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    place = Place(parts.scheme, _ascii(parts.hostname), port, quote(target, safe=string.punctuation))
    return place, "@" in parts.netloc


def _ascii(host: str) -> str:
    if ":" in host:
        address = ipaddress.IPv6Address(host)
        if address.scope_id:
            raise ValueError("a zone means something on one machine only")
        return str(address)
    name = host.encode("idna").decode("ascii").lower()
    if not _NAME.fullmatch(name):
        raise ValueError("not a host name")
    return name
