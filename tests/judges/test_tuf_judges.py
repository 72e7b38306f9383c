"""The two TUF judges against a repository made with python-tuf: what they accept, remember and refuse."""

import contextlib
import http.server
import threading
from datetime import UTC, datetime, timedelta

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

from judges import tuf_js, tuf_ngclient
from judges.tuf_verdict import TufRefused

NAMES = ["app-1.0", "dir/50% é-1+2~3", "ünï/日本-1", "a%41-1", "[x]{y}'z-1"]
EXPIRES = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)

both_clients = pytest.mark.parametrize("client", [tuf_ngclient, tuf_js], ids=["python-tuf", "tuf-js"])


class Repository(http.server.BaseHTTPRequestHandler):
    files: dict[str, bytes]

    def do_GET(self):
        last = self.path.rpartition("/")[2]
        body = self.files.get(last) or self.files.get(last[:64])  # targets by their hash alone
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def site(files):
    handler = type("Site", (Repository,), {"files": files})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/tuf"
        server.shutdown()


def publish(version, signer, names):
    targets = {name: TargetFile.from_data(name, name.encode(), ["sha256"]) for name in names}
    for target in targets.values():
        target.unrecognized_fields["custom"] = {"note": 'new\nline "é" \x7f'}
    meta = {"targets.json": MetaFile(version)}
    snapshot = Snapshot(version=version, expires=EXPIRES, meta=meta)
    root = Root(version=1, expires=EXPIRES, consistent_snapshot=True)
    for role in ("root", "timestamp", "snapshot", "targets"):
        root.add_key(signer.public_key, role)
    files = {
        "1.root.json": signed(root, signer),
        f"{version}.targets.json": signed(Targets(version=version, expires=EXPIRES, targets=targets), signer),
        f"{version}.snapshot.json": signed(snapshot, signer),
        "timestamp.json": signed(
            Timestamp(version=version, expires=EXPIRES, snapshot_meta=MetaFile(version)), signer
        ),
    }
    return files | {target.hashes["sha256"]: name.encode() for name, target in targets.items()}


def signed(role, signer):
    metadata = Metadata(role)
    metadata.sign(signer)
    return metadata.to_bytes(JSONSerializer(compact=True))


@both_clients
def test_odd_names_are_verified_downloaded_and_given_with_their_custom_part(client, tmp_path):
    files = publish(3, CryptoSigner.generate_ed25519(), NAMES)
    with site(files) as url:
        verdict = client.follow(url, tuf_ngclient.first_root(url), tmp_path, [*NAMES, "none-1"])
    assert {name: found.body.decode() for name, found in verdict.targets.items()} == {n: n for n in NAMES}
    assert verdict.versions == {"root": 1, "timestamp": 3, "snapshot": 3, "targets": 3}
    assert verdict.targets["app-1.0"].custom == {"note": 'new\nline "é" \x7f'}


@both_clients
def test_a_client_that_comes_back_sees_the_new_release_and_refuses_an_older_one(client, tmp_path):
    signer = CryptoSigner.generate_ed25519()
    root = publish(1, signer, [])["1.root.json"]
    for version, names in ((2, ["a-1"]), (3, ["a-1", "a-2"])):
        with site(publish(version, signer, names)) as url:
            assert list(client.follow(url, root, tmp_path, ["a-2"]).targets) == names[1:]
    with site(publish(1, signer, ["a-1"])) as url, pytest.raises(TufRefused, match=r"(?i)version"):
        client.follow(url, root, tmp_path)


@both_clients
@pytest.mark.parametrize("spoiled", ["timestamp.json", "1.targets.json"])
def test_a_file_signed_by_a_stranger_is_refused(client, spoiled, tmp_path):
    files = publish(1, CryptoSigner.generate_ed25519(), NAMES)
    files[spoiled] = publish(1, CryptoSigner.generate_ed25519(), NAMES)[spoiled]
    with site(files) as url, pytest.raises(TufRefused, match=r"(?i)sign|threshold"):
        client.follow(url, files["1.root.json"], tmp_path)


@both_clients
def test_other_bytes_than_signed_are_refused(client, tmp_path):
    files = publish(1, CryptoSigner.generate_ed25519(), ["a-1"])
    blob = next(name for name, body in files.items() if body == b"a-1")
    with site(files | {blob: b"b-1"}) as url, pytest.raises(TufRefused):
        client.follow(url, files["1.root.json"], tmp_path, ["a-1"])
