"""Whom a fetch believes, whom it follows, and to whom it shows the secrets of a source."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.publishers import (
    LOOPBACK,
    NAME,
    PRIVATE,
    Authority,
    Publisher,
    guarded,
    publishing,
    refused,
    said,
    self_signed,
)
from otarium.adapters.fetcher import REDIRECTS, GuardedFetcher
from otarium.domain.errors import Broken, SourceUnreachable
from otarium.services.ports_sources import Fetched, FetchRequest


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def secure(authority: Authority) -> Iterator[Publisher]:
    with publishing(authority.context(NAME)) as running:
        yield running


@pytest.fixture
def mirror(authority: Authority) -> Iterator[Publisher]:
    with publishing(authority.context(NAME)) as running:
        yield running


@pytest.fixture
def fetcher(authority: Authority, secure: Publisher, mirror: Publisher) -> GuardedFetcher:
    return guarded(authority, secure, mirror)


def to(location: str, status: int = 302) -> bytes:
    return said(status=status, Location=location)


def test_the_name_is_what_is_asked_for_and_what_the_certificate_must_say(
    fetcher: GuardedFetcher, secure: Publisher
) -> None:
    fetcher.fetch(FetchRequest(secure.url(NAME, "/a/b.json?x=1#part"), {}))
    assert secure.server_names == [NAME]
    (seen,) = secure.seen
    assert seen.target == "/a/b.json?x=1"
    assert seen.headers == {
        "host": f"{NAME}:{secure.port}",
        "user-agent": "otarium",
        "accept": "application/json",
        "accept-encoding": "identity",
    }


def test_the_headers_of_a_source_replace_none_of_ours(fetcher: GuardedFetcher, secure: Publisher) -> None:
    fetcher.fetch(FetchRequest(secure.url(NAME), {"host": "evil.test", "accept-encoding": "gzip"}))
    assert secure.seen[0].headers["host"] == f"{NAME}:{secure.port}"
    assert secure.seen[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("insecure", [False, True])
def test_a_certificate_that_nobody_signed_is_refused_even_from_an_insecure_source(
    authority: Authority, tmp_path: Path, insecure: bool
) -> None:
    with publishing(self_signed(tmp_path, NAME)) as publisher, pytest.raises(SourceUnreachable) as caught:
        guarded(authority, publisher).fetch(FetchRequest(publisher.url(NAME), PRIVATE, insecure=insecure))
    assert f"{NAME} cannot be reached: its certificate is not trusted (self-signed" in caught.value.message
    assert publisher.seen == []


def test_a_private_authority_is_trusted_only_when_it_was_named(secure: Publisher) -> None:
    fetcher = GuardedFetcher(
        ports=frozenset({secure.port}), allowed_networks=[LOOPBACK], resolver=lambda host, port: ["127.0.0.1"]
    )
    assert "not trusted" in refused(fetcher, secure.url(NAME))
    assert secure.seen == []


def test_a_certificate_for_another_name_is_refused(authority: Authority) -> None:
    with publishing(authority.context("127.0.0.1", "other.example.test")) as publisher:
        assert "Hostname mismatch" in refused(guarded(authority, publisher), publisher.url(NAME))
        assert publisher.seen == []


def test_a_server_that_leaves_the_handshake_hanging_is_not_waited_for(authority: Authority) -> None:
    with publishing() as silent:
        message = refused(guarded(authority, silent), f"https://{NAME}:{silent.port}/")
    assert f"{NAME} did not resolve and accept a connection within 0.5 s" in message


def test_a_file_of_authorities_that_cannot_be_read_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(Broken, match=r"missing\.pem.*No such file"):
        GuardedFetcher(ca_file=tmp_path / "missing.pem")
    (tmp_path / "empty.pem").write_bytes(b"no certificate")
    with pytest.raises(Broken, match=r"empty\.pem"):
        GuardedFetcher(ca_file=tmp_path / "empty.pem")


def test_redirects_are_not_followed_unless_allowed(fetcher: GuardedFetcher, secure: Publisher) -> None:
    secure.says(to("/elsewhere"), said(b"{}"))
    message = refused(fetcher, secure.url(NAME))
    assert f"{NAME} answers with a redirect (status 302)" in message
    assert "elsewhere" not in message
    assert len(secure.seen) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_an_allowed_redirect_is_followed(fetcher: GuardedFetcher, secure: Publisher, status: int) -> None:
    secure.says(to("../b.json?x", status), said(b"there"))
    request = FetchRequest(secure.url(NAME, "/a/a.json"), {}, redirects=True)
    assert fetcher.fetch(request) == Fetched(b"there")
    assert [seen.target for seen in secure.seen] == ["/a/a.json", "/b.json?x"]


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("https://169.254.169.254/latest/meta-data/", "169.254.169.254 has the port 443"),
        ("https://169.254.169.254:{port}/latest/meta-data/", "has the address 169.254.169.254, which is not"),
        ("//[::ffff:169.254.169.254]:{port}/", "not public"),
        ("http://169.254.169.254/latest/meta-data/", "not https"),
        ("http://{name}:{port}/", "not https"),
        ("https://{name}:22/", "has the port 22"),
        ("https://user:pass@{name}:{port}/", "user name or password"),
        ("file:///etc/passwd", "cannot be read"),
        ("https://{name}:{port}/a b", "cannot be read"),
        ("/" + "x" * 3000, "cannot be read"),
    ],
)
def test_a_redirect_is_judged_like_the_first_url(
    fetcher: GuardedFetcher, secure: Publisher, location: str, reason: str
) -> None:
    secure.says(to(location.format(name=NAME, port=secure.port)), said(b"{}"))
    assert reason in refused(fetcher, secure.url(NAME), redirects=True)
    assert secure.connections == 1


def test_at_most_three_redirects_are_followed(fetcher: GuardedFetcher, secure: Publisher) -> None:
    request = FetchRequest(secure.url(NAME), {}, redirects=True)
    secure.says(*[to("/on")] * REDIRECTS, said(b"there"))
    assert fetcher.fetch(request) == Fetched(b"there")
    secure.says(to("/on"))
    assert "more than 3 times" in refused(fetcher, request.uri, redirects=True)
    assert len(secure.seen) == 2 * (REDIRECTS + 1)


def test_a_redirect_leads_to_one_place(fetcher: GuardedFetcher, secure: Publisher) -> None:
    secure.says(said(status=302))
    assert "redirects to 0 places" in refused(fetcher, secure.url(NAME), redirects=True)
    secure.says(said(status=302, Location="/a", location="/b"))
    assert "redirects to 2 places" in refused(fetcher, secure.url(NAME), redirects=True)


def test_secrets_and_validators_stay_with_a_redirect_to_the_same_origin(
    fetcher: GuardedFetcher, secure: Publisher
) -> None:
    secure.says(to("/moved.json"), said(status=304))
    request = FetchRequest(secure.url(NAME), PRIVATE, redirects=True, etag='"1"', last_modified="yesterday")
    assert fetcher.fetch(request) is None
    for seen in secure.seen:
        assert PRIVATE.items() <= seen.headers.items()
        assert (seen.headers["if-none-match"], seen.headers["if-modified-since"]) == ('"1"', "yesterday")


def test_secrets_and_validators_are_not_shown_to_another_origin(
    fetcher: GuardedFetcher, secure: Publisher, mirror: Publisher
) -> None:
    secure.says(to(mirror.url(NAME)), said(b"back"))
    mirror.says(to(secure.url(NAME, "/back.json")))
    request = FetchRequest(secure.url(NAME), PRIVATE, redirects=True, etag='"1"', last_modified="yesterday")
    assert fetcher.fetch(request) == Fetched(b"back")
    assert PRIVATE.items() <= secure.seen[0].headers.items()
    for seen in (*mirror.seen, secure.seen[1]):
        assert sorted(seen.headers) == ["accept", "accept-encoding", "host", "user-agent"]


def test_another_origin_cannot_say_that_nothing_changed(
    fetcher: GuardedFetcher, secure: Publisher, mirror: Publisher
) -> None:
    secure.says(to(mirror.url(NAME)))
    mirror.says(said(status=304))
    request = FetchRequest(secure.url(NAME), {}, redirects=True, etag='"1"')
    with pytest.raises(SourceUnreachable, match="status 304"):
        fetcher.fetch(request)
