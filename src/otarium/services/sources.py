"""External package sources: adding, showing, editing, ordering and removing them.

Every change is one transaction of the publisher and touches one source. Fetching is in
`services.refreshing`.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from otarium.domain.access import Actor, Scope
from otarium.domain.delegating import delegations
from otarium.domain.delegation import Accepted, Delegation, accept
from otarium.domain.errors import Conflict, Invalid, SourceNotFound
from otarium.domain.external import LeftOut
from otarium.domain.keys import PublicKey
from otarium.domain.names import PackageId, PackageName, SourceName
from otarium.domain.roles import TARGETS, Dialect
from otarium.domain.sources import SOURCES, Fetching, Source, parse_headers, same_origin
from otarium.domain.vouching import ROLE_PREFIX, vouched
from otarium.services.ports import Catalog, Transaction
from otarium.services.ports_sources import Vault, VouchKeys
from otarium.services.publishing import Outcome, Publisher
from otarium.services.shelving import require_findable, require_listed_findable

_OVERLAPS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class NewSource:
    """A bundle as it was read. `accept_overlap` is the operator's yes to patterns that match own packages."""

    delegation: Delegation
    fetching: Fetching
    headers: Mapping[str, str] = field(default_factory=dict)
    accept_overlap: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """A source, and the targets of it that no list can show."""

    source: Source
    left_out: Sequence[LeftOut] = ()


class Sources:
    """Methods block, but for those that answer a future; each checks that the actor may."""

    def __init__(self, catalog: Catalog, publisher: Publisher, vault: Vault, vouch_keys: VouchKeys) -> None:
        self._catalog = catalog
        self._publisher = publisher
        self._vault = vault
        self._vouch_keys = vouch_keys

    def every(self, actor: Actor) -> list[Source]:
        """In the order in which devices search them."""
        actor.require(Scope.READ)
        with self._catalog.read() as tx:
            return [source for source in tx.sources.every() if source.removed_at is None]

    def show(self, actor: Actor, name: SourceName) -> Shown:
        """Raises SourceNotFound."""
        actor.require(Scope.READ)
        with self._catalog.read() as tx:
            return Shown(existing(tx, name), tx.sources.left_out(name))

    def add(self, actor: Actor, new: NewSource) -> "Future[Source]":
        """Trust a publisher; nothing of it is listed or served before it was fetched. Raises Conflict."""
        actor.require(Scope.WRITE)
        headers = parse_headers(new.headers)
        name = new.delegation.name

        def change(tx: Transaction, now: int) -> Outcome[Source]:
            known = tx.sources.every()
            listed = [source for source in known if source.removed_at is None]
            if any(source.name == name for source in listed):
                raise Conflict(f"There is a source {name!a} already; edit it, or remove it first.")
            if len(listed) >= SOURCES:
                raise Conflict(f"There are {len(listed)} sources; clients search at most {SOURCES}.")
            _require_own_key_ids(new.delegation, listed)
            if not new.accept_overlap:
                _require_no_overlap(tx, new.delegation)
            files = next((source.files for source in known if source.name == name), {})
            added_at = max([now, *(file.accepted_at + 1 for file in files.values())])
            position = 1 + max((source.position for source in known), default=0)
            source = Source(
                new.delegation,
                new.fetching,
                position,
                added_at,
                tuple(headers),
                files=files,
                next_refresh=now,
            )
            tx.sources.put(source)
            require_findable(tx)
            self._set_headers(tx, name, headers)
            tx.journal.record(now, actor.name, "source.add", name, new.fetching.uri)
            return Outcome(source)

        return self._publisher.submit(change)

    def edit(
        self, actor: Actor, name: SourceName, fields: Mapping[str, Any], headers: Mapping[str, str] | None
    ) -> "Future[Source]":
        """`fields` are members of Fetching; `headers` replace all that were there. Raises SourceNotFound."""
        actor.require(Scope.WRITE)
        parsed = None if headers is None else parse_headers(headers)

        def change(tx: Transaction, now: int) -> Outcome[Source]:
            source = existing(tx, name)
            edited = replace(source, fetching=replace(source.fetching, **fields), next_refresh=now)
            moved = not same_origin(edited.fetching.uri, source.fetching.uri)
            if moved and source.header_names and parsed is None:
                raise Invalid("The new URL is on another host: state the headers for it too, or {} for none.")
            if parsed is not None:
                edited = replace(edited, header_names=tuple(parsed))
                self._set_headers(tx, name, parsed)
            if source.fetching.tuf_uri is not None and edited.fetching.tuf_uri is None:
                edited = retired(tx, edited, Dialect.TUF)
            tx.sources.put(edited)
            tx.journal.record(now, actor.name, "source.edit", name, ", ".join([*fields, *(parsed or ())]))
            return self._republished(tx, source, edited, now)

        return self._publisher.submit(change)

    def _republished(self, tx: Transaction, before: Source, source: Source, now: int) -> Outcome[Source]:
        """What enabling, disabling and vouching change for lists and devices."""
        accepted = _stored(tx, source)
        if before.active and not source.active:
            tx.sources.unlist_packages(source.name)
        elif source.active and not before.active and accepted is not None:
            list_packages(tx, accepted)
        if accepted is not None and source.fetching.vouches and not before.fetching.vouches:
            source = self.vouch(tx, source, accepted, now)
        return Outcome(source, signs=renewal(before, source, now))

    def vouch(self, tx: Transaction, source: Source, accepted: Accepted, now: int) -> Source:
        """Sign the list for clients of /tuf, unless its publisher does or they saw a higher version."""
        live = source.live(Dialect.TUF)
        if accepted.file.dialect is Dialect.TUF or (live is not None and not live.vouched):
            return source
        if accepted.file.version < source.vouched_from:
            return source
        role = f"{ROLE_PREFIX}{source.name}"
        key = next((key for key in tx.keys.every() if key.role == role), None)
        if key is None:
            key = self._vouch_keys.generate(source.name)
            tx.keys.add(key, now)
        sealed = key
        copy = vouched(accepted, PublicKey(key.public), lambda raw: self._vouch_keys.sign(sealed, raw))
        tx.sources.take_over(copy)
        files = {**source.files, Dialect.TUF: copy.file}
        source = replace(source, vouch_key=PublicKey(key.public), files=files)
        tx.sources.put(source)
        return source

    def remove(self, actor: Actor, name: SourceName) -> "Future[None]":
        """Stop trusting a publisher. Its snapshot line stays, and its versions are never forgotten."""
        actor.require(Scope.WRITE)

        def change(tx: Transaction, now: int) -> Outcome[None]:
            source = existing(tx, name)
            removed = replace(source, removed_at=now, header_names=(), problem=None)
            tx.sources.put(removed)
            tx.sources.set_headers(name, None)
            tx.sources.unlist_packages(name)
            tx.journal.record(now, actor.name, "source.remove", name)
            return Outcome(None, signs=renewal(source, removed, now))

        return self._publisher.submit(change)

    def reorder(self, actor: Actor, names: Sequence[SourceName]) -> "Future[list[Source]]":
        """All sources, in the order in which devices are to search them. Raises Invalid."""
        actor.require(Scope.WRITE)

        def change(tx: Transaction, now: int) -> Outcome[list[Source]]:
            listed = {source.name: source for source in tx.sources.every() if source.removed_at is None}
            if sorted(names) != sorted(listed):
                raise Invalid(f"Name each source once: {', '.join(listed)}.", cause=list(listed))
            ordered = [replace(listed[name], position=place) for place, name in enumerate(names, 1)]
            for source in ordered:
                tx.sources.put(source)
            tx.journal.record(now, actor.name, "source.order", " ".join(names))
            return Outcome(ordered, signs=frozenset({TARGETS}))

        return self._publisher.submit(change)

    def _set_headers(self, tx: Transaction, name: SourceName, headers: Mapping[str, str]) -> None:
        text = json.dumps(headers).encode()
        tx.sources.set_headers(name, self._vault.seal(f"headers:{name}", text) if headers else None)


def existing(tx: Transaction, name: SourceName) -> Source:
    source = tx.sources.get(name)
    if source is None or source.removed_at is not None:
        raise SourceNotFound(
            f"There is no external package source {name[:100]!a} in this repository.",
            description="Delegation was not found",
        )
    return source


def retired(tx: Transaction, source: Source, dialect: Dialect) -> Source:
    """Without the publisher's file in a dialect that no URL gives any more, if the other one is there."""
    live, other = source.live(dialect), source.live(Dialect.UPTANE if dialect is Dialect.TUF else Dialect.TUF)
    if live is None or live.vouched or other is None or other.vouched:
        return source
    return tx.sources.retire(source, dialect)


def renewal(before: Source, after: Source, now: int) -> frozenset[str]:
    """Which of our roles say something else of a source than they did."""
    for dialect in Dialect:
        if delegations([before], dialect, now) != delegations([after], dialect, now):
            return frozenset({TARGETS})
    return frozenset({"snapshot"}) if before.files != after.files else frozenset()


def _stored(tx: Transaction, source: Source) -> Accepted | None:
    """The publisher's newest file, read again; it was good when it was accepted."""
    file = replace(source, fetching=replace(source.fetching, enabled=True)).published
    stored = tx.sources.file(source.name, file.dialect, file.version) if file else None
    if file is None or stored is None:
        return None
    return accept(stored.signed.raw, source.delegation, {}, file.accepted_at, file.modified_at)


def _require_own_key_ids(delegation: Delegation, others: Sequence[Source]) -> None:
    """targets.json has one table of keys for all sources: an id means one key there."""
    for other in others:
        for key_id, key in other.delegation.keys.items():
            if key_id in delegation.keys and delegation.keys[key_id].material != key.material:
                raise Conflict(
                    f"The key id {key_id!a} means another key in the source {other.name}; "
                    "ask the publisher for a bundle whose key ids are hashes."
                )


def list_packages(tx: Transaction, accepted: Accepted) -> None:
    """Show them, in place of those before. Raises SourceOutOfBounds where devices would not find all."""
    require_listed_findable(tx, accepted)
    tx.sources.list_packages(accepted)


def _require_no_overlap(tx: Transaction, delegation: Delegation) -> None:
    """Dependency confusion: whoever publishes under our names could be taken for us."""
    owned = tx.sources.owned_like(delegation.paths, _OVERLAPS_SHOWN)
    if owned:
        raise Conflict(
            f"The paths of {delegation.name} match packages of this repository, such as {owned[0][:120]!a}. "
            "Devices take ours first; if the publisher may use these names too, say so with acceptOverlap.",
            cause=list(owned),
        )


def require_no_confusion(tx: Transaction, name: PackageName, package_id: PackageId) -> None:
    """A new own name that a source's pattern matches needs a yes. Raises Conflict."""
    if tx.packages.owns_name(name):
        return
    covering = [
        source.name
        for source in tx.sources.every()
        if source.removed_at is None and source.delegation.covers(package_id)
    ]
    if covering:
        raise Conflict(
            f"The name of {package_id[:120]!a} is new here, and the source {covering[0]} may publish it too. "
            "Choose another name, or send the header Otarium-Accept-Overlap: true.",
            cause=[str(one) for one in covering],
        )
