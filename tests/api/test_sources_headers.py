"""Request headers of private feeds: really sent, kept encrypted, and never shown again."""

import json

import pytest

from api.calls import refused
from api.sources import add, call, done, edit, feed, info, refresh, remove, remove_all, show
from harness import http
from publisher import serving, target

SECRET = "tops3cret-value"
HEADERS = {"Authorization": f"Bearer {SECRET}", "Private-Token": SECRET + "2", "X-Feed": SECRET + "3"}


@pytest.fixture
def server(trusting):
    """Whatever a test did, no secret was logged, and none is in a file."""
    yield trusting
    remove_all(trusting)
    assert SECRET not in trusting.log_tail(10_000_000)
    assert files_with(trusting, SECRET) == []


def files_with(server, text):
    files = [path for path in server.data_dir.rglob("*") if path.is_file()]
    return [path.name for path in files if text.encode() in path.read_bytes()]


def sent(made):
    """The headers of the last request, but for those of every request."""
    public = {"host", "user-agent", "accept", "accept-encoding", "if-none-match", "if-modified-since"}
    last = made.host.request_headers[made.path][-1]
    return {name: value for name, value in last.items() if name not in public}


def test_headers_are_sent_and_of_them_only_names_are_shown(server, host):
    private, place = feed(host, "secret-private"), "/secret-private"
    answers = [call(server, "POST", body=private.bundle(headers=HEADERS))]
    assert sent(private) == {name.lower(): value for name, value in HEADERS.items()}
    assert refresh(server, "secret-private").status == 200
    assert sent(private) == {name.lower(): value for name, value in HEADERS.items()}
    answers += [call(server, "GET"), call(server, "GET", place), call(server, "POST", place + "/refresh")]
    answers += [call(server, "PATCH", place, {"friendlyName": "x"}), refresh(server, private.name)]
    answers += [call(server, "PUT", body={"names": [private.name]})]
    answers += [http(server, "GET", path) for path in ("/metrics", "/health/ready", "/repo/targets.json")]
    for answer in answers:
        assert answer.status == 200
        assert SECRET.encode() not in answer.body
    assert show(server, "secret-private")["headers"] == ["authorization", "private-token", "x-feed"]
    assert SECRET not in json.dumps(info(server))
    assert files_with(server, "authorization"), "the names are stated, so the values would be found"


def test_headers_stay_until_others_replace_all_of_them(server, host):
    kept = feed(host, "secret-kept")
    add(server, kept, headers=HEADERS)
    edit(server, "secret-kept", interval=120)
    refresh(server, "secret-kept")
    assert len(sent(kept)) == 3
    assert edit(server, "secret-kept", headers={"x-other": SECRET})["headers"] == ["x-other"]
    refresh(server, "secret-kept")
    assert sent(kept) == {"x-other": SECRET}
    assert edit(server, "secret-kept", headers={})["headers"] == []
    refresh(server, "secret-kept")
    assert sent(kept) == {}


def test_headers_are_forgotten_with_the_source(server, host):
    gone = feed(host, "secret-gone")
    add(server, gone, headers=HEADERS)
    remove(server, "secret-gone")
    assert add(server, gone)["headers"] == []
    assert sent(gone) == {}


def test_sources_do_not_share_headers(server, host):
    first, second = feed(host, "secret-first"), feed(host, "secret-second")
    add(server, first, headers={"X-One": SECRET})
    add(server, second, headers={"X-Two": SECRET})
    refresh(server, "secret-first")
    assert (sent(first), sent(second)) == ({"x-one": SECRET}, {"x-two": SECRET})


@pytest.mark.parametrize(
    "name", ["Host", "Cookie", "Content-Length", "", "X Feed", "X-Ä", "X-\n", "Accept", "X:"]
)
def test_other_headers_are_refused_without_their_values(server, host, name):
    tdx, headers = feed(host, "secret-refused"), {name: SECRET}
    error = refused(call(server, "POST", body=tdx.bundle(headers=headers)), 400, "invalid_entity", "header")
    assert SECRET not in json.dumps(error)
    add(server, tdx)
    error = refused(call(server, "PATCH", "/secret-refused", {"headers": headers}), 400, "invalid_entity")
    assert SECRET not in json.dumps(error)


@pytest.mark.parametrize(
    "value", [f"{SECRET}\r\nX-More: 1", f"{SECRET}\n", f"{SECRET}é", SECRET * 400, [SECRET]]
)
def test_values_that_no_header_can_have_are_refused_and_not_repeated(server, host, value):
    bundle = feed(host, "secret-refused").bundle(headers={"X-Feed": value})
    error = refused(call(server, "POST", body=bundle), 400, "invalid_entity")
    assert SECRET not in json.dumps(error)


def test_a_publisher_that_repeats_them_makes_nobody_repeat_them(server, host):
    """What it sends stands in no message, whatever it sends."""
    echo = feed(host, "secret-echo")
    add(server, echo, headers=HEADERS)
    bodies = [
        f'{{"{SECRET}":1,"{SECRET}":2}}',
        SECRET,
        f'{{"signed":{{"_type":"{SECRET}"}},"signatures":[]}}',
    ]
    for body in bodies[:2]:
        host.put(echo.path, body.encode(), {"X-Echo": SECRET, "ETag": f'"{SECRET}"'})
        assert SECRET.encode() not in refresh(server, "secret-echo").body
    host.status(echo.path, 302, {"Location": f"http://127.0.0.1/{SECRET}"})
    assert SECRET.encode() not in refresh(server, "secret-echo").body
    assert SECRET not in json.dumps(show(server, "secret-echo"))


def test_headers_do_not_follow_to_another_host(server, host):
    """Who may edit a source must not learn what its operator entered."""
    moved = feed(host, "secret-moved")
    add(server, moved, headers=HEADERS)
    with serving() as other:
        other.put(moved.path, moved.publisher.uptane(target("secret-moved/os-1.0"), 2))
        elsewhere = other.url + moved.path
        call(server, "PATCH", "/secret-moved", {"fetchUrl": elsewhere})
        call(server, "PATCH", "/secret-moved", {"tufFetchUrl": elsewhere})
        refresh(server, "secret-moved")
        assert SECRET not in json.dumps(other.request_headers)
        edit(
            server,
            "secret-moved",
            fetchUrl=elsewhere,
            tufFetchUrl=None,
            headers={"X-New": "for it"},
        )
        refresh(server, "secret-moved")
        assert other.request_headers[moved.path][-1]["x-new"] == "for it"


def test_headers_do_not_follow_a_redirect_to_another_host(server, host):
    bent = feed(host, "secret-bent")
    add(server, bent, headers=HEADERS, followRedirects=True)
    with serving() as other:
        raw = bent.publisher.uptane(target("secret-bent/os-1.0"), 2)
        other.put("/target.json", raw)
        host.status(bent.path, 302, {"Location": other.url + "/target.json"})
        assert refresh(server, "secret-bent").status == 200
        assert SECRET not in json.dumps(other.request_headers)
    assert done(call(server, "GET", "/secret-bent"))["files"][0]["version"] == 2
