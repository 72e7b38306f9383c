"""A publisher of external packages, with signing of its own, and a web host for its files.

    tdx = Publisher("tdx")
    raw = tdx.uptane(target("tdx/os-1.0") | target("tdx/boot-2"))
    with serving({"/tdx.json": raw}) as host:
        bundle = tdx.bundle(host.url + "/tdx.json")

What a file or host should do wrong is said where it is made: `uptane(..., version=0)`, `tuf(..., _type=OMIT)`,
`host.status("/tdx.json", 500)`. Keys are the same in every run, but for RSA ones, which are made once.
"""

import base64
import functools
import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from judges.uptane_canonical import canonical
from publisher_host import Host, serving

__all__ = ["OMIT", "Host", "Publisher", "SigningKey", "hex_signature", "olpc", "serving", "target", "when"]

MONTH = 30 * 86_400
OMIT: Any = object()
"""As the value of a member: leave the member out."""
