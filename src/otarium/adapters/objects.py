"""An object store (S3, Google Cloud Storage, Azure) as blobs use it: clients, names, failures in our words.

No request waits for long: somebody may hold the writer's lock meanwhile.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import from_url

from otarium.domain.errors import Unavailable
from otarium.domain.names import Sha256

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

MISSING = (NotFoundError, FileNotFoundError)
_NAMES_SECONDS, _BYTES_SECONDS = 5, 30
_BACKOFF = {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=1), "base": 2}
_VARIABLES = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
_OF_CLIENTS = (
    "allow_http",
    "allow_invalid_certificates",
    "connect_timeout",
    "proxy_ca_certificate",
    "proxy_excludes",
    "proxy_url",
    "timeout",
)
"""Options that the environment may state as the store's own tools read them; ours would hide them all."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """The same place twice."""

    names: "ObjectStore"
    """For requests without bytes to speak of: 5 seconds, and no more once they are over."""
    bytes: "ObjectStore"
    """For those that carry up to a part of a package: 30 seconds."""


def opened(url: str, **options: Any) -> Bucket:
    """Credentials and endpoint come from the environment. S3 is sent the sha256 of all that it gets."""
    scheme = url.partition("://")[0]
    config: Any = {"checksum_algorithm": "sha256"} if scheme == "s3" else None
    stated = {key: os.environ.get(f"{_VARIABLES[scheme]}{key.upper()}") for key in _OF_CLIENTS}
    ours = {"connect_timeout": "5s"} | {key: value for key, value in stated.items() if value}
    given = ours | options.pop("client_options", {})

    def client(seconds: int) -> "ObjectStore":
        client_options: Any = {"timeout": f"{seconds}s"} | given
        retry: Any = {"max_retries": 3, "retry_timeout": timedelta(seconds=seconds), "backoff": _BACKOFF}
        return from_url(url, config=config, client_options=client_options, retry_config=retry, **options)

    return Bucket(client(_NAMES_SECONDS), client(_BYTES_SECONDS))


def key_of(sha256: Sha256) -> str:
    return f"sha256/{sha256[:2]}/{sha256}"


def claim_of(sha256: Sha256, token: str) -> str:
    return f"large/{sha256[:2]}/{sha256}/{token}"


def tokens_of(bucket: Bucket, sha256: Sha256) -> list[str]:
    """Of all arrivals that are this blob."""
    return sorted(found["path"].rpartition("/")[2] for found in listed(bucket, claim_of(sha256, "")))


def note(bucket: Bucket, token: str, sha256: str) -> None:
    """That bytes may have arrived in vain."""
    obstore.put(bucket.names, f"arriving/{token}", sha256.encode())


def listed(bucket: Bucket, prefix: str) -> Iterator["ObjectMeta"]:
    for page in obstore.list(bucket.names, prefix):
        yield from page


def remove(bucket: Bucket, key: str) -> None:
    with suppress(*MISSING):
        obstore.delete(bucket.names, key)


@contextmanager
def translated() -> Iterator[None]:
    """Failures of the store in our words; its own may name hosts and keys."""
    try:
        yield
    except MISSING:
        raise
    except (BaseError, OSError) as error:
        raise Unavailable("The store for packages cannot be reached.", retry_after=5) from error
