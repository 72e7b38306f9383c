"""The ports: what services need from the outside, one Protocol per noun.

A `Transaction` is one database transaction; its nouns live and die with it. Failures of the outside are
raised as `Unavailable` or `StorageFull`; everything else that an adapter raises is a bug.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from otarium.domain.access import Credential
from otarium.domain.keys import SealedKey, Signature
from otarium.domain.listed import Listed, Page
from otarium.domain.names import PackageId, PackageName, Sha256
from otarium.domain.packages import Content, Deleted, Entry, Package, PackageQuery
from otarium.domain.release import Counters, Release, RoleKeys
from otarium.domain.roles import RoleFile
from otarium.services.ports_shelves import Shelves
from otarium.services.ports_sources import Sources


class Clock(Protocol):
    def now(self) -> int:
        """Whole seconds since 1970."""
        ...


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in a sorted list: the last row handed out, and the newest row that belongs to it."""

    upper_bound: int
    created_at: int = 0
    id: str | None = None
    source: str = ""


class Packages(Protocol):
    """Rows of packages. `revision` numbers every change of the repository's own packages, ever; lists show
    the packages of external sources too."""

    def revision(self) -> int:
        """The last one given out."""
        ...

    def next_revision(self) -> int: ...
    def get(self, package_id: PackageId) -> Package | None: ...
    def find(self, package_id: PackageId) -> Package | None:
        """Also an external package: own ones first, then sources in the operator's order."""
        ...

    def owns_name(self, name: PackageName) -> bool:
        """Whether a package of this name is here."""
        ...

    def add(self, package: Package, shelf: str, entry: Entry) -> None: ...
    def replace(self, package: Package, entry: Entry) -> None: ...
    def remove(self, package: Package, revision: int, at: int) -> None:
        """Delete the row and remember it as `Deleted`."""
        ...

    def deleted(self, package_id: PackageId) -> Deleted | None: ...
    def would_be_next(self, name: PackageName, package_id: PackageId) -> bool:
        """Whether we have packages of this name, and neither have nor had one with this id: what most
        uploads are, told at once."""
        ...

    def with_hash(self, sha256: Sha256, deleted_since: int) -> Content | None:
        """The content of any own package with this hash, live or deleted since then."""
        ...

    def with_id(self, package_id: PackageId) -> Sequence[Package]:
        """Ours and every source's, in no order."""
        ...

    def external_with_hash(self, sha256: Sha256) -> Sequence[Package]:
        """One of each source that lists these bytes, in no order."""
        ...

    def search(self, query: PackageQuery) -> Page: ...
    def count(self, query: PackageQuery) -> tuple[int, Cursor]:
        """How many match, and where a walk over them starts."""
        ...

    def chunk(self, query: PackageQuery, cursor: Cursor, skip: int, size: int) -> tuple[list[Listed], Cursor]:
        """The next `size` rows after `cursor` (skipping `skip`), and the cursor after them."""
        ...

    def numbers(self) -> Mapping[str, int]:
        """How many there are of each source; own ones under "targets"."""
        ...

    def every(self) -> Iterator[tuple[Package, Entry]]:
        """All packages with their stored entries, for verification."""
        ...


class Searching(Protocol):
    """What lists and searches read: made from the rows of packages, in the transaction of every change."""

    def differences(self) -> Iterator[str]:
        """Where it says something else than the rows."""
        ...

    def rebuild(self) -> None: ...


class Roles(Protocol):
    """Signed files. (role, version) is unique, and so is a version among all files of the targets key."""

    def counters(self) -> Counters: ...
    def save(self, release: Release, previous: Release | None, keep: int) -> None:
        """The newest `keep` files of a role beside the current one stay whatever `collect` says. Of the feed
        no older one does, since nobody can ask for it."""
        ...

    def file(self, role: str, version: int) -> RoleFile | None:
        """None when unknown, or when its bytes were collected."""
        ...

    def newest(self, role: str) -> tuple[int, int] | None:
        """(version, when it was signed) of the newest file of a role."""
        ...

    def roots(self) -> Sequence[RoleFile]: ...
    def collect(self, replaced_before: int, cap_bytes: int) -> None:
        """Drop bytes (never the record of version, hash and length) of files that are surplus: replaced
        `keep` times, the last time before then; also later ones while all surplus is above the cap."""
        ...

    def records(self) -> Iterator[tuple[str, int, RoleFile | None]]:
        """Every (role, version) ever published, with its bytes where they are kept."""
        ...


@dataclass(frozen=True, slots=True)
class BlobRow:
    sha256: Sha256
    length: int
    dying: bool


class Blobs(Protocol):
    """Rows of blobs; the bytes are in the BlobStore."""

    def keep(self, sha256: Sha256, length: int) -> bool:
        """Make the row live for a package that is about to be listed; False while the blob is dying."""
        ...

    def adopt(self, sha256: Sha256, length: int, released_at: int, dying: bool = False) -> bool:
        """Make a row that nothing refers to, where there is none."""
        ...

    def is_dying(self, sha256: Sha256) -> bool: ...
    def release(self, sha256: Sha256, at: int) -> None:
        """A package that referred to it is gone."""
        ...

    def mark_dying(self, now: int, grace: int) -> Sequence[Sha256]:
        """Mark what is unreferenced and past grace; answers all that are dying."""
        ...

    def drop(self, sha256: Sha256) -> None:
        """Forget a dying blob whose bytes are gone."""
        ...

    def every(self) -> Iterator[BlobRow]: ...
    def numbers(self) -> tuple[int, int]:
        """(how many, bytes of all)."""
        ...


class Credentials(Protocol):
    """API clients (id and secret, exchanged for access tokens) and tokens (bearer)."""

    def add_client(self, client: Credential) -> None: ...
    def client(self, client_id: str) -> Credential | None: ...
    def clients(self) -> Sequence[Credential]: ...
    def set_client_digest(self, client_id: str, digest: bytes) -> None: ...
    def revoke_client(self, client_id: str, at: int) -> None:
        """Also revokes the tokens issued to it."""
        ...

    def add_token(self, token: Credential) -> None: ...
    def token(self, token_id: str) -> Credential | None: ...
    def tokens(self) -> Sequence[Credential]:
        """Tokens made by people; not the access tokens of clients."""
        ...

    def revoke_token(self, token_id: str, at: int) -> None: ...
    def revoke_tokens_of(self, client_id: str, at: int) -> None: ...
    def drop_expired(self, before: int) -> None: ...


class Journal(Protocol):
    """Who did what, written in the transaction that does it."""

    def record(self, at: int, actor: str, action: str, subject: str, detail: str = "") -> None: ...
    def last(self, action: str) -> int | None:
        """When it was done last."""
        ...


class Transaction(Protocol):
    @property
    def packages(self) -> Packages: ...
    @property
    def searching(self) -> Searching: ...
    @property
    def roles(self) -> Roles: ...
    @property
    def blobs(self) -> Blobs: ...
    @property
    def credentials(self) -> Credentials: ...
    @property
    def journal(self) -> Journal: ...
    @property
    def keys(self) -> "KeyRows": ...
    @property
    def sources(self) -> Sources: ...
    @property
    def shelves(self) -> Shelves: ...
    def create_repository(self, at: int) -> None:
        """The one row that counters and the writer's lock live on."""
        ...

    def probe(self) -> None:
        """Write something that changes nothing."""
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """Undo what happened inside when it raises; the transaction goes on."""
        ...


class Catalog(Protocol):
    def read(self) -> AbstractContextManager[Transaction]:
        """One consistent view."""
        ...

    def write(self, *, durable: bool = True) -> AbstractContextManager[Transaction]:
        """The one writer of the repository; commits at the end, rolls back when the block raises.
        Without `durable` a power cut may undo the commit (never half of it)."""
        ...


class Changes(Protocol):
    def version(self) -> int:
        """A number that is another one after any commit to the catalog; cheap enough for every GET.
        Raises Unavailable."""
        ...


class KeyRows(Protocol):
    def add(self, key: SealedKey, at: int) -> None: ...
    def every(self) -> Sequence[SealedKey]: ...


class Signer(Protocol):
    """Holds the private keys of the roles."""

    def role_keys(self) -> RoleKeys: ...
    def sign(self, role: str, payload: bytes) -> tuple[Signature, ...]:
        """One signature per key of the role. Raises Unavailable."""
        ...


class Announcements(Protocol):
    """The newest release, told from worker to worker of one machine at once, at no cost for the reader."""

    def announce(self, number: int) -> None: ...
    def announced(self) -> int:
        """0 while nothing was."""
        ...


class Views(Protocol):
    """Which release a device saw last; bounded, shared by the workers, allowed to forget."""

    def remember(self, device: bytes, number: int, now: float) -> None: ...
    def recall(self, device: bytes, now: float) -> int | None: ...
