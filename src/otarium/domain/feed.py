"""The feed: all packages of our own in one file, for repositories that carry them as a source of theirs.

It is signed by the targets key, delegates to nothing and is listed in no snapshot: devices never see it.
While targets.json delegates to nothing that is the feed; beyond that a file of its own is signed, by the
version counter that all files of the targets key share. So the version of what is served as the feed only
rises, whichever of the two it is.
"""

from otarium.domain.delegation import FILE_BYTES, TARGETS
from otarium.domain.errors import Conflict
from otarium.domain.roles import Dialect, RoleFile

FEED = "feed"
"""What the file is called in the catalog, where other publishers' files have a place of their own."""
FEED_PATH = "feed/targets.json"
"""Below /repo and /tuf; no role has a slash in its name."""
FEED_PACKAGES = TARGETS
FEED_BYTES = FILE_BYTES - 64 * 1024
"""Of all entries; the rest is for what is around them."""
_PACKAGES_A_SECOND = 2000


def delegates(targets: RoleFile) -> bool:
    """Whether it delegates in any dialect; then `delegations` is its second member in canonical order."""
    heads = (targets.in_dialect(dialect).raw.partition(b'"signed":{')[2][:100] for dialect in Dialect)
    return any(b'"delegations":{' in head for head in heads)


def has_room(packages: int, size: int) -> bool:
    return packages <= FEED_PACKAGES and size <= FEED_BYTES


def require_room(packages: int, size: int) -> None:
    """Raises Conflict where nobody would take the feed over."""
    if not has_room(packages, size):
        raise Conflict(
            f"This repository has {packages} packages in {size} bytes of metadata, and a source has at most "
            f"{FEED_PACKAGES} in {FEED_BYTES}. Publish a list of some of them with "
            "`otarium source publish --from-repository --name-contains TEXT`."
        )


def pause(packages: int) -> int:
    """Seconds from one file to the next: making one takes the publisher about a fiftieth of them."""
    return packages // _PACKAGES_A_SECOND
