"""The small rules on their own: canonical bytes, RSA signatures, patterns, and one GET over real HTTP."""

import base64
import contextlib
import ctypes
import http.server
import json
import threading

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from judges import uptane_errors as errors
from judges.uptane_canonical import canonical
from judges.uptane_fnmatch import matches
from judges.uptane_keys import check_signatures, read_keys, trust_of
from judges.uptane_transport import HttpFetch


def test_the_canonical_form_equals_the_rule_of_the_contract():
    value = {"é": ['\x7f"\\/', "\b\f\n\r\t\x01"], "A": {"😀": [True, None, -1, 2**63]}, "a": "u007f"}
    rule = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert canonical(value) == rule.replace("\\u007f", "\x7f").encode()
    assert canonical({"x": "\\u007f"}) == rb'{"x":"\\u007f"}'
    assert canonical([0.1, 1e2, 2**64]) == b"[0.10000000000000001,100.0,1.8446744073709552e+19]"


PATTERNS = [
    "*",
    "a-*",
    "a[*]b-*",
    "[[]x",
    "[]a]*",
    "[!a]*",
    "[^a-c]*",
    "[a-c]?",
    "a\\*b",
    "[\\\\]*",
    "[ab",
    "tdx/*",
    "?x",
]
NAMES = [
    "",
    "a",
    "a-",
    "a-1/2",
    "a*b-1",
    "[x",
    "]q",
    "b",
    "ax",
    "d",
    "bz",
    "a*b",
    "axb",
    "\\n",
    "[ab",
    "tdx/a/b",
    "!x",
    "^x",
]


def test_patterns_match_as_in_the_c_library():
    libc = ctypes.CDLL(None)
    for pattern in PATTERNS:
        for name in NAMES:
            expected = libc.fnmatch(pattern.encode(), name.encode(), 0) == 0
            assert matches(pattern, name) == expected, (pattern, name)


def test_a_question_mark_takes_one_byte_only():
    assert not matches("?-1", "é-1")
    assert matches("??-1", "é-1")


@pytest.mark.parametrize("salt", [32, 222])
def test_an_rsa_signature_counts_whatever_its_salt_length(salt):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    signed = {"é": "\n"}
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=salt)
    sig = base64.b64encode(key.sign(canonical(signed), pss, hashes.SHA256())).decode()
    trust = trust_of(
        {"keyids": ["k"], "threshold": 1},
        read_keys({"k": {"keytype": "RSA", "keyval": {"public": pem}}}, ""),
        "",
    )
    envelope = {"signatures": [{"keyid": "k", "method": "rsassa-pss-sha256", "sig": sig}], "signed": signed}
    check_signatures(envelope, trust, "", strict=True)
    envelope["signed"] = {"é": "\\n"}
    with pytest.raises(errors.BadSignatures):
        check_signatures(envelope, trust, "", strict=True)


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/a%2Fb//c")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", "999" if self.path == "/cut" else str(len(self.path)))
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def site():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_fetch_follows_redirects_keeps_the_path_and_stops_at_the_limit():
    with site() as base:
        assert HttpFetch()(base + "/moved", {}, 99).body == b"/a%2Fb//c"
        assert HttpFetch("127.0.0.9")(base + "/cut", {}, 9999).broken
        with pytest.raises(errors.TooLarge):
            HttpFetch()(base + "/too-long", {}, 3)
    assert HttpFetch()(base, {}, 3).status == 599
