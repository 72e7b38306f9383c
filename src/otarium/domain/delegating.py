"""What this repository's own targets and snapshot say of delegated roles: shelves, then sources.

A source is delegated to only while there is a live file of it in that dialect, so one without content
disturbs nobody. Order is the operator's; nothing is terminating, and our own packages come first.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from otarium.domain.canonical import members
from otarium.domain.delegation import SourceFile
from otarium.domain.names import OWN_SOURCE, Sha256, SourceName
from otarium.domain.packages import Package
from otarium.domain.release import Delegated
from otarium.domain.roles import Delegations, Dialect, Line
from otarium.domain.sources import LEAVES_TUF_SECONDS, Source


def delegations(sources: Iterable[Source], dialect: Dialect, now: int) -> dict[str, Any] | None:
    """The `delegations` member of our targets role, in the operator's order; None without any."""
    keys: dict[str, Any] = {}
    roles = []
    for source in sources:
        file = source.live(dialect)
        if file is None or not is_delegated(file, now):
            continue
        signers, threshold = _signers(source, file)
        keys |= {key_id: key for key_id, key in signers.items()}
        roles.append(
            {
                "keyids": list(signers),
                "name": str(source.name),
                "paths": list(source.delegation.paths),
                "terminating": False,
                "threshold": threshold,
            }
        )
    return {"keys": keys, "roles": roles} if roles else None


def _signers(source: Source, file: SourceFile) -> tuple[dict[str, Any], int]:
    if file.vouched and source.vouch_key is not None:
        return {source.vouch_key.key_id: source.vouch_key.to_object()}, 1
    usable = {
        key_id: key.to_object()
        for key_id, key in source.delegation.keys.items()
        if key.usable_in(file.dialect)
    }
    return usable, source.delegation.threshold


def is_delegated(file: SourceFile, now: int) -> bool:
    """aktualizr skips an expired file by itself; a TUF client would stop, so there it leaves in time."""
    return file.dialect is Dialect.UPTANE or file.expires - LEAVES_TUF_SECONDS > now


def is_searched(source: Source, dialect: Dialect, now: int) -> bool:
    """Whether clients find packages in its list: they are sent there, and it has not expired."""
    file = source.live(dialect)
    return file is not None and is_delegated(file, now) and file.expires > now


def resolve(
    offered: Iterable[Package],
    sources: Iterable[Source],
    dialect: Dialect,
    now: int,
    sha256: Sha256 | None = None,
) -> Package | None:
    """The one of some packages of one id that clients of a dialect mean: ours, else that of the first source,
    in the operator's order, whose list they find it in. Who names the bytes has searched already, maybe in an
    older release: then only a package with these is meant, of whichever source."""
    ranks: dict[SourceName, tuple[bool, int]] = {OWN_SOURCE: (False, -1)}
    for place, source in enumerate(sources):
        ranks[source.name] = (not is_searched(source, dialect, now), place)
    found = [
        one
        for one in offered
        if (not ranks[one.source][0] if sha256 is None else one.content.sha256 == sha256)
    ]
    return min(found, key=lambda one: ranks[one.source], default=None)


def leaves_tuf_between(sources: Sequence[Source], since: int, now: int) -> bool:
    """Whether a source of /tuf came too near to its expiry after `since`."""
    return any(
        is_delegated(file, since) != is_delegated(file, now)
        for source in sources
        if (file := source.live(Dialect.TUF)) is not None
    )


def lines(sources: Iterable[Source], dialect: Dialect) -> dict[str, Line]:
    """The snapshot lines of all files ever accepted, also of removed sources: a name that vanished from
    the snapshot would stop clients for ever."""
    return {
        str(source.name): Line(file.listed_sha256, file.length, file.version)
        for source in sources
        if (file := source.files.get(dialect)) is not None
    }


def delegated(shelves: Delegations | None, sources: Sequence[Source], now: int) -> Delegated:
    """What a release says of delegated roles; `shelves` are our own ones, None where targets.json is not
    signed anew."""
    ours = shelves or Delegations()

    def joined(dialect: Dialect) -> Delegations:
        theirs = delegations(sources, dialect, now) or {"keys": {}, "roles": []}
        roles = [members([role]) for role in theirs["roles"]]
        return Delegations({**ours.keys, **theirs["keys"]}, [*ours.roles, *roles])

    return Delegated(
        {dialect: joined(dialect) for dialect in Dialect},
        {dialect: lines(sources, dialect) for dialect in Dialect},
    )
