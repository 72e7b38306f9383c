"""How a repository fares, for a person: what there is, until when, what is wrong and what to do about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from otarium.domain import release as releases
from otarium.domain.errors import Refusal
from otarium.domain.packages import timestamp
from otarium.domain.release import Release
from otarium.domain.shelves import ShelfLimits
from otarium.domain.sources import Source, SourceState
from otarium.services.inventory import Contents, Inventory
from otarium.services.metadata import Metadata
from otarium.services.offload import Offload

LATE_SECONDS = 600
"""How long a renewal may be due, or the copy for devices behind: whoever serves looks every few seconds."""


@dataclass(frozen=True, slots=True)
class Expiry:
    role: str
    expires: int
    is_late: bool
    """It should have been signed again by now."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, and what to do next."""

    problem: str
    advice: str


@dataclass(frozen=True, slots=True)
class Copy:
    """The copy for devices: the release that it shows, for how many seconds that has not been the newest, and
    why it cannot be brought up to date, as far as can be told from here."""

    release: int
    behind: int
    problem: str | None


@dataclass(frozen=True, slots=True)
class Status:
    """Times are whole seconds since 1970."""

    at: int
    release: int
    expiry: Sequence[Expiry]
    contents: Contents
    sources: Sequence[Source]
    free_bytes: int | None
    last_backup: int | None
    copy: Copy | None
    findings: Sequence[Finding]


def look(
    inventory: Inventory,
    metadata: Metadata,
    now: int,
    reserve_bytes: int,
    limits: ShelfLimits,
    offload: Offload | None,
) -> Status:
    """`reserve_bytes` is the free space below which uploads are refused."""
    release = metadata.current
    late = releases.due(release, now - LATE_SECONDS)
    files = (release.root, release.targets, release.snapshot, release.timestamp)
    expiry = [Expiry(file.role, file.expires, file.role in late) for file in files]
    sources, free = inventory.sources(), inventory.free_bytes()
    findings = [*_of_roles(expiry, now), *_of_targets(release, limits), *_of_sources(sources, now)]
    if free is not None and free < reserve_bytes:
        findings.append(
            Finding("The disk is nearly full; uploads are refused.", "Free some space, or add some.")
        )
    copy = _copy(offload, metadata, now) if offload else None
    findings += _of_copy(copy, release) if copy else ()
    contents, backup = inventory.contents(), inventory.last_backup()
    return Status(now, release.number, expiry, contents, sources, free, backup, copy, findings)


def _copy(offload: Offload, metadata: Metadata, now: int) -> Copy:
    try:
        shown = offload.compare()
    except Refusal as refusal:
        return Copy(0, 0, refusal.message)
    if shown >= metadata.number:
        return Copy(shown, 0, None)
    missed = metadata.versioned("timestamp", shown + 1) or metadata.current.timestamp
    return Copy(shown, now - missed.signed_at, None)


def _of_copy(copy: Copy, release: Release) -> Iterator[Finding]:
    if copy.problem:
        yield Finding(f"The copy for devices is not kept: {copy.problem}", "See docs/offload.md.")
    elif copy.behind > LATE_SECONDS:
        yield Finding(
            f"The copy for devices shows release {copy.release}; {release.number} is the newest.",
            "Start `otarium serve`; if it runs, its log says why it does not copy, or it copies yet.",
        )


def _of_roles(expiry: Sequence[Expiry], now: int) -> Iterator[Finding]:
    for one in expiry:
        if one.expires <= now:
            yield Finding(
                f"{one.role} expired at {timestamp(one.expires)}; devices take no update.",
                "Start `otarium serve`; if it runs, its log says why it does not renew.",
            )
        elif one.is_late:
            yield Finding(
                f"{one.role} should have been renewed; it expires at {timestamp(one.expires)}.",
                "Start `otarium serve`; if it runs, its log says why it does not renew.",
            )


def _of_targets(release: Release, limits: ShelfLimits) -> Iterator[Finding]:
    size = release.targets.length
    if size >= limits.warning_bytes:
        yield Finding(
            f"targets.json has {size} bytes; devices read at most {limits.top_bytes}.", limits.advice
        )


def _of_sources(sources: Sequence[Source], now: int) -> Iterator[Finding]:
    for source in sources:
        state = source.state(now)
        if state in (SourceState.FRESH, SourceState.EXPIRING, SourceState.DISABLED):
            continue
        why = source.problem.message if source.problem else "It was not fetched so far."
        yield Finding(
            f"The source {source.name} is {state}: {why}",
            f"`otarium source show {source.name}` tells more, `otarium source refresh {source.name}` "
            "tries again.",
        )
