"""The repository's beginnings: keys, the row, the first root and the first (empty) release."""

from collections.abc import Sequence

from otarium.domain.errors import NotFound
from otarium.domain.keys import SealedKey
from otarium.domain.roles import RoleFile
from otarium.services.ports import Catalog, Clock, Transaction
from otarium.services.publishing import Outcome, Publisher
from otarium.services.shelving import Shelving


def keys_of(catalog: Catalog) -> Sequence[SealedKey]:
    """Empty when the repository does not exist yet."""
    with catalog.read() as tx:
        return tx.keys.every()


def create(catalog: Catalog, keys: Sequence[SealedKey], clock: Clock) -> None:
    """The repository row and its keys, in one transaction."""
    with catalog.write() as tx:
        tx.create_repository(clock.now())
        for key in keys:
            tx.keys.add(key, clock.now())
        tx.journal.record(clock.now(), "otarium", "repository.create", "default")


def publish_first(publisher: Publisher, shelving: Shelving) -> None:
    """Publish the empty repository, or what the settings lay out otherwise than it is; else nothing."""

    def settle(tx: Transaction, _now: int) -> Outcome[None]:
        return Outcome(None, shelving.settle(tx))

    publisher.submit(settle).result()


def root(catalog: Catalog, version: int | None = None) -> RoleFile:
    """A root by version, the newest by default. Raises NotFound."""
    with catalog.read() as tx:
        roots = {file.version: file for file in tx.roles.roots()}
    if not roots or (version is not None and version not in roots):
        raise NotFound(f"There is no root version {version}; the newest is {max(roots, default=0)}.")
    return roots[version or max(roots)]
