"""Where a fetch may go: URLs, names, addresses, ports."""

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from contract.publishers import NAME, Authority, Publisher, guarded, publishing, refused
from harness import PATIENCE
from otarium.adapters.fetcher import GuardedFetcher
from otarium.adapters.places import is_public
from otarium.domain.errors import SourceUnreachable
from otarium.services.ports_sources import Fetched, FetchRequest


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    """Speaks plain http."""
    with publishing() as running:
        yield running


@pytest.fixture
def secure(authority: Authority) -> Iterator[Publisher]:
    with publishing(authority.context(NAME)) as running:
        yield running


@pytest.fixture
def fetcher(secure: Publisher, authority: Authority) -> GuardedFetcher:
    return guarded(authority, secure)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "https://",
        "https:///targets.json",
        "ftp://packages.example.test/x",
        "file:///etc/passwd",
        "https://packages.example.test/a b",
        "https://packages\t.example.test/",
        "https://packages.example.test\\@127.0.0.1/",
        "https://packages..example.test/",
        "https://packages%2eexample.test/",
        "https://packages.example.test:99999/",
        "https://packages.example.test:٤٤٣/",
        "https://[fe80::1%25lo]/",
        "https://[::1/",
        "https://packages.example.test/" + "x" * 2048,
    ],
)
def test_a_url_that_can_be_read_in_two_ways_is_not_read(fetcher: GuardedFetcher, uri: str) -> None:
    assert "cannot be read" in refused(fetcher, uri)


def test_a_url_with_a_password_is_refused_and_not_repeated(
    fetcher: GuardedFetcher, secure: Publisher
) -> None:
    message = refused(fetcher, f"https://user:s3cr3t@{NAME}:{secure.port}/targets.json")
    assert NAME in message
    assert "password" in message
    assert "s3cr3t" not in message
    assert secure.connections == 0


def test_plain_http_is_refused(fetcher: GuardedFetcher, publisher: Publisher) -> None:
    assert "not https" in refused(fetcher, publisher.url(NAME))
    assert publisher.connections == 0


def test_a_port_that_is_not_listed_is_refused(publisher: Publisher) -> None:
    message = refused(GuardedFetcher(), f"https://{NAME}:{publisher.port}/")
    assert f"port {publisher.port}" in message
    assert "443, 8443" in message


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("224.0.0.1", "233.252.0.1", "240.0.0.1", "255.255.255.255", "192.0.0.8", "192.88.99.1"),
        *("::1", "::", "fe80::1", "fe80::1%lo", "fec0::1", "fc00::1", "ff0e::1", "2001:db8::1", "3fff::1"),
        *(
            "::ffff:8.8.8.8",
            "::8.8.8.8",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "2002:808:808::1",
            "2001:0:1::1",
        ),
    ],
)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    fetcher = GuardedFetcher(resolver=lambda host, port: [address])
    message = refused(fetcher, f"https://{NAME}/")
    assert NAME in message
    assert "not public" in message


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "169.254.170.2", "fe80::1", "224.0.0.1", "ff02::1"),
        *("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
        *(
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "::ffff:0:169.254.169.254",
            "::ffff:100.100.100.200",
        ),
        *("64:ff9b::169.254.169.254", "64:ff9b:1::169.254.169.254", "64:ff9b:1:a9fe:a9:fe00::"),
        *("64:ff9b:1:a9:fe:a9fe::", "64:ff9b:1:ff:a9:fea9:fe00:0"),
        *("2002:a9fe:a9fe::1", "2001:0:a9fe:a9fe::1", "2001:0:4136:e378:8000:63bf:5601:5601"),
    ],
)
def test_where_machines_keep_credentials_is_never_allowed(address: str) -> None:
    everywhere = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
    fetcher = GuardedFetcher(resolver=lambda host, port: [address], allowed_networks=everywhere)
    for insecure in (False, True):
        with pytest.raises(SourceUnreachable, match="not public, and never allowed"):
            fetcher.fetch(FetchRequest(f"https://{NAME}/", {}, insecure=insecure))


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "2a00:1450::1"])
def test_a_public_address_is_allowed(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_one_address_inside_spoils_those_outside() -> None:
    fetcher = GuardedFetcher(resolver=lambda host, port: ["93.184.216.34", "10.0.0.1"])
    assert "10.0.0.1" in refused(fetcher, f"https://{NAME}/")


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "2130706433",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "１２７.0.0.1",
    ],
)
def test_loopback_is_refused_however_it_is_written(secure: Publisher, host: str) -> None:
    fetcher = GuardedFetcher(ports=frozenset({secure.port}))
    assert "not public" in refused(fetcher, secure.url(host))
    assert secure.connections == 0


def test_an_insecure_source_may_be_on_loopback_in_plain_http_on_any_port(publisher: Publisher) -> None:
    request = FetchRequest(publisher.url("localhost"), {}, insecure=True)
    assert GuardedFetcher().fetch(request) == Fetched(b"{}")


def test_an_allowed_network_needs_no_insecure_source(fetcher: GuardedFetcher, secure: Publisher) -> None:
    assert fetcher.fetch(FetchRequest(secure.url(NAME), {})) == Fetched(b"{}")


def test_a_name_that_moves_after_the_judgement_gains_nothing(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = ["127.0.0.1", "127.0.0.2"]
    asked: list[str] = []
    monkeypatch.setattr(socket, "getaddrinfo", noting(asked, socket.getaddrinfo))
    with (
        publishing(authority.context(NAME)) as right,
        publishing(authority.context(NAME), "127.0.0.2", right.port) as wrong,
    ):
        fetcher = GuardedFetcher(
            ca_file=authority.file,
            ports=frozenset({right.port}),
            allowed_networks=[ipaddress.ip_network("127.0.0.1/32")],
            resolver=lambda host, port: [answers.pop(0)],
        )
        assert fetcher.fetch(FetchRequest(right.url(NAME), {})) == Fetched(b"{}")
        assert (right.connections, wrong.connections, answers) == (1, 0, ["127.0.0.2"])
        assert set(asked) == {"127.0.0.1"}, "nobody else may ask for the name"
        assert "127.0.0.2" in refused(fetcher, right.url(NAME))
        assert wrong.connections == 0


def noting(asked: list[str], original: Callable[..., Any]) -> Callable[..., Any]:
    def getaddrinfo(host: str, *rest: Any, **options: Any) -> Any:
        asked.append(host)
        return original(host, *rest, **options)

    return getaddrinfo


def test_an_address_that_is_down_leaves_the_next_one(authority: Authority, secure: Publisher) -> None:
    fetcher = guarded(authority, secure, addresses=("127.0.0.3", "127.0.0.1"))
    assert fetcher.fetch(FetchRequest(secure.url(NAME), {})) == Fetched(b"{}")


def test_a_name_that_is_not_found_is_told() -> None:
    def resolver(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    message = refused(GuardedFetcher(resolver=resolver), f"https://{NAME}/")
    assert message.startswith(f"{NAME} was not found: Name or service not known")
    assert "no address" in refused(GuardedFetcher(resolver=lambda host, port: []), f"https://{NAME}/")


def test_a_silent_resolver_is_not_waited_for() -> None:
    released = threading.Event()

    def resolver(host: str, port: int) -> list[str]:
        released.wait(60)
        return []

    start = time.monotonic()
    message = refused(GuardedFetcher(resolver=resolver, connect_seconds=0.2), f"https://{NAME}/")
    released.set()
    assert f"{NAME} did not resolve" in message
    assert time.monotonic() - start < PATIENCE


def test_nobody_listening_is_told(authority: Authority) -> None:
    with publishing() as gone:
        pass
    assert "Connection refused" in refused(guarded(authority, gone), f"https://{NAME}:{gone.port}/")


def test_a_name_in_any_script_travels_in_ascii(authority: Authority) -> None:
    asked = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    with publishing() as publisher:
        request = FetchRequest(publisher.url("Bücher.example", "/größe?q=ü"), {}, insecure=True)
        assert GuardedFetcher(resolver=resolver).fetch(request) == Fetched(b"{}")
        assert asked == ["xn--bcher-kva.example"]
        assert publisher.seen[0].headers["host"] == f"xn--bcher-kva.example:{publisher.port}"
        assert publisher.seen[0].target == "/gr%C3%B6%C3%9Fe?q=%C3%BC"


def test_proxies_in_the_environment_are_not_used(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    request = FetchRequest(publisher.url(), {}, insecure=True)
    assert GuardedFetcher().fetch(request) == Fetched(b"{}")
