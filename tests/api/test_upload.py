"""POST /packages: what is accepted, and everything that it leaves behind."""

import base64
import hashlib
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from api.calls import head_of, ids, package, patch, post, upload_path, wire
from api.traces import agreed, blob_path, nothing_changes, release_of
from harness import http, upload

BUFFER = 512 * 1024
"""What a server collects of a body before it writes."""
PACKAGE_MEMBERS = {
    "name",
    "version",
    "packageId",
    "size",
    "hashes",
    "packageSource",
    "pkgType",
    "hardwareIds",
    "createdAt",
    "uri",
    "proprietaryMeta",
    "comment",
}


def test_an_upload_is_answered_with_the_whole_package_and_is_everywhere_at_once(server):
    body = b"services:\n  web: {image: nginx}\n"
    before = datetime.now(UTC)
    answer = post(server, "up/web app", "1.0+b", body, ["docker-compose", "verdin imx8mp"])
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    made = answer.json
    created = made.pop("createdAt")
    assert made == {
        "name": "up/web app",
        "version": "1.0+b",
        "packageId": "up/web app-1.0+b",
        "size": len(body),
        "hashes": {"sha256": hashlib.sha256(body).hexdigest()},
        "packageSource": "targets.json",
        "pkgType": "BINARY",
        "hardwareIds": ["docker-compose", "verdin imx8mp"],
        "uri": None,
        "proprietaryMeta": None,
        "comment": None,
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created)
    age = datetime.fromisoformat(created) - before
    assert timedelta(seconds=-2) < age < timedelta(seconds=30)
    assert package(server, "up/web app-1.0+b") == answer.json
    assert agreed(server).packages["up/web app-1.0+b"] == answer.json
    assert blob_path(server, made["hashes"]["sha256"]).read_bytes() == body


def test_a_package_has_the_documented_members_and_no_others_in_every_answer(server):
    answers = [upload(server, "up-keys", "1", b"x"), package(server, "up-keys-1")]
    answers += http(server, "GET", "/api/v2/packages?name=up-keys").json["values"]
    answers.append(http(server, "PATCH", "/api/v2/packages/up-keys-1", body=b"{}").json)
    for one in answers:
        assert set(one) == PACKAGE_MEMBERS


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json",
        "nonsense",
    ],
)
def test_any_content_type_and_none_store_the_same_bytes(server, kind):
    body = b"a=1&b=%41\r\n--x\r\n{}\x00\xff"
    version = str(kind).replace("/", "-")
    answer = post(server, "up-kind", version, body, headers={"Content-Type": kind} if kind else {})
    assert answer.status == 200
    assert answer.json["hashes"] == {"sha256": hashlib.sha256(body).hexdigest()}
    assert http(server, "GET", "/repo/targets/" + quote(f"up-kind-{version}")).body == body


@pytest.mark.parametrize("word", ["BINARY", "binary", "Binary"])
def test_target_format_is_taken_in_any_case(server, word):
    made = upload(server, "up-format", word, b"x", target_format=word)
    assert made["pkgType"] == "BINARY"
    assert agreed(server).targets("repo")[made["packageId"]]["custom"]["targetFormat"] == "BINARY"


def test_no_hardware_id_is_accepted_listed_and_signed_as_an_empty_list_and_warned_about(server):
    made = upload(server, "up-bare", "1", b"bare", [])
    assert made["hardwareIds"] == []
    found = agreed(server)
    for dialect in ("repo", "tuf"):
        assert found.targets(dialect)["up-bare-1"]["custom"]["hardwareIds"] == []
    verified = server.run("verify")
    assert re.search(r"warning: .*up-bare-1.*hardware id", verified.stdout + verified.stderr)


def test_sixty_four_hardware_ids_of_two_hundred_bytes_are_accepted(server):
    many = [f"{number:02}" + "é" * 99 for number in range(64)]
    assert len(upload_path("up-many", "1", many)) > 8192  # longer than a request line may be
    upload(server, "up-many", "1", b"x", many[:4])
    assert patch(server, "up-many-1", {"hardwareIds": many}).json["hardwareIds"] == many
    short = [str(number) for number in range(64)]
    assert upload(server, "up-many", "2", b"x", short)["hardwareIds"] == short
    agreed(server)


def test_hardware_ids_come_repeated_or_with_brackets_and_a_comma_separates_nothing(server):
    base = upload_path("up-brackets", "1", [])
    answer = http(server, "POST", base + "&hardwareId[]=a,b&hardwareId%5B%5D=c+d&hardwareId=e", body=b"x")
    assert answer.status == 200
    assert answer.json["hardwareIds"] == ["a,b", "c d", "e"]


@pytest.mark.parametrize("base", ["/api/v2", "/api//v2beta", "//api/v2beta", "/api/v2beta/"])
def test_both_bases_and_doubled_slashes_reach_the_same_routes(server, base):
    name = "up-base" + base.replace("/", "-").strip("-") + str(base.count("/"))
    path = upload_path(name, "1").replace("/api/v2beta", base, 1)
    made = http(server, "POST", path, body=b"x").json
    assert http(server, "GET", f"{base}/packages/{name}-1").json == made
    assert http(server, "GET", f"{base}/packages?name={name}").json["values"] == [made]
    assert http(server, "PATCH", f"{base}/packages/{name}-1?", body=b'{"comment":"c"}').status == 200
    assert http(server, "GET", f"{base}//packages/{name}-1?").json == made | {"comment": "c"}
    assert http(server, "DELETE", f"{base}/packages//{name}-1").status == 200
    assert ids(server, f"name={name}") == []


@pytest.mark.parametrize("form", ["digest", "checksum", "both", "other-algorithms"])
def test_a_digest_that_is_right_is_accepted_in_either_spelling(server, form):
    body = b"checked " + form.encode()
    raw = hashlib.sha256(body).digest()
    digest = f"sha-256=:{base64.b64encode(raw).decode()}:"
    headers = {
        "digest": {"Content-Digest": digest},
        "checksum": {"X-Checksum-Sha256": raw.hex().upper()},
        "both": {"Content-Digest": digest, "X-Checksum-Sha256": raw.hex()},
        "other-algorithms": {"Content-Digest": f"sha-512=:AAAA:, {digest}"},
    }[form]
    assert post(server, "up-digest", form, body, headers=headers).status == 200
    assert raw.hex() in agreed(server).blobs


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Digest": "sha-256=:" + base64.b64encode(bytes(32)).decode() + ":"},
        {"X-Checksum-Sha256": "0" * 64},
        {"X-Checksum-Sha256": "abc"},
        {"Content-Digest": "sha-256=:not base64:"},
        {"Content-Digest": "sha-256=:AAAA:"},
        {
            "X-Checksum-Sha256": hashlib.sha256(b"told").hexdigest(),
            "Content-Digest": f"sha-256=:{'A' * 43}=:",
        },
    ],
)
def test_a_digest_that_is_wrong_is_refused_and_leaves_nothing(server, headers):
    with nothing_changes(server):
        assert post(server, "up-digest", "wrong", b"told", headers=headers).status == 400


def test_expect_100_continue_is_answered_at_once_and_then_the_package(server):
    body = b"z" * 2_000_000
    with wire(server) as connection:
        headers = {"Content-Length": len(body), "Expect": "100-continue"}
        connection.send(head_of(server, "POST", upload_path("up-expect", "1"), headers))
        assert connection.read_head()[0] == 100
        connection.send(body)
        answer = connection.read_answer()
    assert answer.status == 200
    assert answer.json["size"] == len(body)
    agreed(server)


def test_packages_with_the_same_bytes_share_them(server):
    for name in ("up-shared-a", "up-shared-b"):
        upload(server, name, "1", b"the same bytes")
    found = agreed(server)
    sha256 = hashlib.sha256(b"the same bytes").hexdigest()
    assert sum(one["hashes"]["sha256"] == sha256 for one in found.packages.values()) == 2
    assert list(found.blobs).count(sha256) == 1


def test_parallel_uploads_of_many_packages_are_all_there_at_the_end(server):
    before = release_of(server)
    bodies = {str(number): bytes([number]) * 70_000 for number in range(40)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: upload(server, "up-parallel", *item), bodies.items()))
    found = agreed(server)
    for version, body in bodies.items():
        assert (
            found.packages[f"up-parallel-{version}"]["hashes"]["sha256"] == hashlib.sha256(body).hexdigest()
        )
    assert before < release_of(server) <= before + len(bodies)


@pytest.mark.parametrize("size", [1, BUFFER - 1, BUFFER, BUFFER + 1, 2 * BUFFER, 3 * BUFFER + 1])
@pytest.mark.parametrize("piece", [64 * 1024, 4 * BUFFER], ids=["in pieces", "at once"])
def test_every_byte_arrives_where_a_body_fills_buffers_to_the_last_and_where_not(server, size, piece):
    body = hashlib.shake_128(str(size + piece).encode()).digest(size)
    with wire(server, 60) as connection:
        path = upload_path(f"up-buffers-{piece}", str(size))
        connection.send(head_of(server, "POST", path, {"Content-Length": size}))
        for start in range(0, size, piece):
            connection.send(body[start : start + piece])
        answer = connection.read_answer()
    assert answer.json["hashes"] == {"sha256": hashlib.sha256(body).hexdigest()}
    assert blob_path(server, hashlib.sha256(body).hexdigest()).read_bytes() == body


def test_half_a_gigabyte_goes_through_without_being_held_in_memory(server):
    chunk, count = b"0123456789abcdef" * 65536, 500
    digest = hashlib.sha256()
    for _ in range(count):
        digest.update(chunk)
    upload(server, "up-warm", "1", chunk)
    before = _memory_of(server)
    highest, done = [before], threading.Event()
    watcher = threading.Thread(target=_watch_memory, args=(server, highest, done))
    watcher.start()
    try:
        with wire(server, 120) as connection:
            connection.send(
                head_of(server, "POST", upload_path("up-large", "1"), {"Content-Length": len(chunk) * count})
            )
            for _ in range(count):
                connection.send(chunk)
            answer = connection.read_answer()
    finally:
        done.set()
        watcher.join()
    assert answer.status == 200
    assert answer.json["hashes"]["sha256"] == digest.hexdigest()
    assert blob_path(server, digest.hexdigest()).stat().st_size == len(chunk) * count
    assert highest[0] - before < 64 * 1024 * 1024
    http(server, "DELETE", "/api/v2beta/packages/up-large-1")


def _watch_memory(server, highest, done):
    while not done.wait(0.05):
        highest[0] = max(highest[0], _memory_of(server))


def _memory_of(server):
    """Resident bytes of the server's whole process group."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(") ")[2].split()
            if int(fields[2]) == server.process.pid:
                total += int(fields[21]) * 4096
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total
