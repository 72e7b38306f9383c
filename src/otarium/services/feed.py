"""The feed as it is served, and as it follows what is published."""

from otarium.domain import feed
from otarium.domain.errors import Unavailable
from otarium.domain.feed import FEED
from otarium.domain.roles import RoleFile
from otarium.services.metadata import Metadata, load_release
from otarium.services.ports import Catalog, Clock, Transaction
from otarium.services.publishing import Outcome, Publisher


class Feed:
    """Methods block; call them from a worker thread."""

    def __init__(self, catalog: Catalog, metadata: Metadata) -> None:
        self._catalog = catalog
        self._metadata = metadata
        self._file: RoleFile | None = None

    def require_room(self) -> None:
        """Raises Conflict where the repository is too large for a source."""
        with self._catalog.read() as tx:
            feed.require_room(*tx.shelves.total())

    def file(self) -> RoleFile:
        """What is served as the feed. Raises Conflict, or Unavailable while the first one is being made."""
        targets = self._metadata.current.targets
        if not feed.delegates(targets):
            return targets
        with self._catalog.read() as tx:
            feed.require_room(*tx.shelves.total())
            newest = tx.roles.newest(FEED)
            file = self._file
            if newest is not None and (file is None or file.version != newest[0]):
                file = self._file = tx.roles.file(FEED, newest[0])
        if newest is None or file is None:
            raise Unavailable("The list of all packages is being made; ask again in a moment.")
        return file


def follow(catalog: Catalog, metadata: Metadata, publisher: Publisher, clock: Clock) -> bool:
    """Sign the feed where something was signed since; whether it was. Raises Refusal."""
    metadata.refresh()

    def is_due(tx: Transaction, now: int) -> bool:
        return _is_due(tx, metadata, now)

    with catalog.read() as tx:
        if not is_due(tx, clock.now()):
            return False

    def change(tx: Transaction, now: int) -> Outcome[bool]:
        due = is_due(tx, now)
        return Outcome(due, frozenset({FEED}) if due else frozenset())

    return publisher.submit(change).result()


def _is_due(tx: Transaction, metadata: Metadata, now: int) -> bool:
    """Whatever changes a package signs its page, and so does renewal: then the one counter of the targets key
    is above the feed. Nothing else need be remembered."""
    release = load_release(tx, metadata.current)
    if release is None or not feed.delegates(release.targets):
        return False
    newest = tx.roles.newest(FEED)
    if newest is not None and newest[0] == release.counters.targets:
        return False
    packages, size = tx.shelves.total()
    waits = newest is not None and now < newest[1] + feed.pause(packages)
    return feed.has_room(packages, size) and not waits
