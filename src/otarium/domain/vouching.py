"""Vouching: a publisher's Uptane-only list, signed again for TUF 1.0 clients by a key of this repository.

The key is the source's own, never the targets key, since the publisher chooses what stands in the list.
Version and expiry are the publisher's, so the copy is as fresh as what it copies and never outlives it.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from otarium.domain import canonical
from otarium.domain.delegation import Accepted
from otarium.domain.keys import PublicKey
from otarium.domain.packages import timestamp
from otarium.domain.roles import SPEC_VERSION, Dialect

ROLE_PREFIX = "vouch:"
"""What the key is called among the keys of the repository, followed by the source's name."""


def vouched(accepted: Accepted, key: PublicKey, sign: Callable[[bytes], bytes]) -> Accepted:
    """`accepted` is a file in the Uptane dialect; the same list in the TUF 1.0 dialect comes out."""
    signed = {
        "_type": "targets",
        "expires": timestamp(accepted.file.expires),
        "spec_version": SPEC_VERSION,
        "targets": {
            name: _with_usual_hashes(target)
            for name, target in accepted.targets.items()
            if _is_in_order({name: target})
        },
        "version": accepted.file.version,
    }
    signature = {"keyid": key.key_id, "sig": sign(canonical.olpc(signed)).hex()}
    raw = canonical.tuf({"signatures": [signature], "signed": signed})
    sha256 = hashlib.sha256(raw).hexdigest()
    copy = replace(
        accepted.file,
        dialect=Dialect.TUF,
        sha256=sha256,
        listed_sha256=sha256,
        length=len(raw),
        vouched=True,
    )
    return replace(accepted, file=copy, raw=raw)


def _is_in_order(value: object) -> bool:
    """tuf-js orders keys by UTF-16 code units: one above U+FFFF could break the signature of all."""
    if isinstance(value, dict):
        return all(max(key, default="") <= "\uffff" and _is_in_order(one) for key, one in value.items())
    return not isinstance(value, list) or all(map(_is_in_order, value))


def _with_usual_hashes(target: Mapping[str, Any]) -> dict[str, Any]:
    """TUF clients fetch by the first hash in the file; of others than these nobody could be sure."""
    usual = {kind: target["hashes"][kind] for kind in ("sha256", "sha512") if kind in target["hashes"]}
    return {**target, "hashes": usual or target["hashes"]}
