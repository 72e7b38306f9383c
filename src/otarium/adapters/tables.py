"""The schema, one for every database; `indexes` completes it. An empty one is made from it, and
migrations lead to it; a test compares them.

A package is this repository's own where `source` is "targets"; the others are what external sources list.
Times are whole seconds since 1970. `listed` is what lists show of a package (see `domain.listed`); `words`
and `listing` are what searches read (see `words` and `listing`, the modules). `entry_*` is null where it
equals the form before it; what is the same in both dialects of a role file is stored once, in `shared_tail`
(see `rows_storage`; it was once always the end of both). A role file is surplus, and counted in
`kept_bytes`, when it was replaced so often that only its age keeps it.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

_Text = String().with_variant(String(collation="C"), "postgresql")
"""Compared by code point, as devices and clients compare names; PostgreSQL would ask the locale."""

SQLITE_PAGE_BYTES = 8192
"""Role files are megabytes; larger pages write them in fewer pieces."""

repository = Table(
    "repository",
    metadata,
    Column("namespace", String, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("root", Integer, nullable=False),
    Column("targets", Integer, nullable=False),
    Column("snapshot", Integer, nullable=False),
    Column("timestamp", Integer, nullable=False),
    Column("kept_bytes", BigInteger, nullable=False),
)

packages = Table(
    "packages",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("source", _Text, nullable=False, server_default=text("'targets'")),
    Column("package_id", _Text, nullable=False),
    Column("name", _Text, nullable=False),
    Column("version", _Text, nullable=False),
    Column("format", String, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("length", BigInteger, nullable=False),
    Column("location", Text),
    Column("uploaded_hardware_ids", JSON, nullable=False),
    Column("hardware_ids", JSON, nullable=False),
    Column("uri", Text),
    Column("comment", Text),
    Column("meta", Text),
    Column("has_sbom", Boolean(create_constraint=False), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("shelf", String, nullable=False),
    Column("entry_uptane", LargeBinary, nullable=False),
    Column("entry_tuf", LargeBinary),
    Column("entry_olpc", LargeBinary),
    Column("listed", LargeBinary, nullable=False),
    Column("name_word", Integer, nullable=False),
    Column("version_word", Integer, nullable=False),
    Column("trait_word", Integer, nullable=False),
    UniqueConstraint("package_id", "source", name="one_package_per_source"),
    Index("packages_by_creation", "created_at", "package_id", "source"),
    Index("packages_by_source", "source", "created_at", "package_id"),
    Index("packages_by_name", "name"),
    Index("packages_by_sha256", "sha256"),
    Index("packages_by_shelf", "shelf", "package_id"),
    sqlite_autoincrement=True,
)

words = Table(
    "words",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("word", _Text, nullable=False),
    Column("folded", _Text, nullable=False),
    Column("odd_id", _Text),
    UniqueConstraint("digest", name="one_number_per_word"),
    Index("words_by_kind", "kind", "odd_id", "folded"),
)

listing = Table(
    "listing",
    metadata,
    Column("sorting", String, primary_key=True),
    Column("created_at", BigInteger, primary_key=True),
    Column("package_id", _Text, primary_key=True),
    Column("source", _Text, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("pks", LargeBinary, nullable=False),
    Column("traits", LargeBinary, nullable=False),
    Column("names", LargeBinary, nullable=False),
    Column("versions", LargeBinary, nullable=False),
)

deleted = Table(
    "deleted",
    metadata,
    Column("package_id", _Text, primary_key=True),
    Column("format", String, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("length", BigInteger, nullable=False),
    Column("location", Text),
    Column("uploaded_hardware_ids", JSON, nullable=False),
    Column("shelf", String, nullable=False),
    Column("deleted_at", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Index("deleted_by_sha256", "sha256"),
)

role_files = Table(
    "role_files",
    metadata,
    Column("role", String, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("signed_by", String, nullable=False),
    Column("signed_at", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("kept", Boolean(create_constraint=False), nullable=False),
    Column("surplus_at", BigInteger),
    Column("uptane_sha256", String(64), nullable=False),
    Column("uptane_length", BigInteger, nullable=False),
    Column("tuf_sha256", String(64), nullable=False),
    Column("tuf_length", BigInteger, nullable=False),
    Column("uptane", LargeBinary),
    Column("tuf", LargeBinary),
    Column("shared_tail", LargeBinary),
    UniqueConstraint("signed_by", "version", name="one_version_per_key"),
)

shelves = Table(
    "shelves",
    metadata,
    Column("role", String, primary_key=True),
    Column("first", String, nullable=False),
    Column("page", Integer, nullable=False),
    Column("targets", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("due_at", BigInteger),
    # Of the first page, for all of its shelf.
    Column("longest", Integer),
    Column("paths", LargeBinary),
    Index("shelves_by_page", "first", "page"),
)

names = Table(
    "names",
    metadata,
    Column("name", _Text, primary_key=True),
    Column("shelf", String, nullable=False),
    Index("names_by_shelf", "shelf"),
)

sources = Table(
    "sources",
    metadata,
    Column("name", _Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("delegation", Text, nullable=False),
    Column("fetching", Text, nullable=False),
    Column("header_names", JSON, nullable=False),
    Column("headers", LargeBinary),
    Column("vouch_key", String),
    Column("added_at", BigInteger, nullable=False),
    Column("removed_at", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("last_fetched", BigInteger),
    Column("next_refresh", BigInteger, nullable=False),
    Column("problem_code", String),
    Column("problem", Text),
    Column("problem_since", BigInteger),
    Column("left_out", Text, nullable=False, server_default=text("'[]'")),
    Column("validators", Text, nullable=False, server_default=text("'{}'")),
)

source_files = Table(
    "source_files",
    metadata,
    Column("source", _Text, ForeignKey("sources.name"), primary_key=True),
    Column("dialect", String, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("newest", Boolean(create_constraint=False), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("listed_sha256", String(64), nullable=False),
    Column("length", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("accepted_at", BigInteger, nullable=False),
    Column("modified_at", BigInteger, nullable=False),
    Column("vouched", Boolean(create_constraint=False), nullable=False),
    Column("raw", LargeBinary),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("until", Float, nullable=False),
)

blobs = Table(
    "blobs",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("length", BigInteger, nullable=False),
    Column("dying", Boolean(create_constraint=False), nullable=False),
    Column("released_at", BigInteger, nullable=False),
)

clients = Table(
    "clients",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("scopes", String, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("scopes", String, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("client_id", String, ForeignKey("clients.id")),
    Index("tokens_by_client", "client_id"),
)

keys = Table(
    "keys",
    metadata,
    Column("key_id", String(64), primary_key=True),
    Column("role", String, nullable=False),
    Column("public", String, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

journal = Table(
    "journal",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", String, nullable=False),
    Column("action", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("detail", Text, nullable=False),
    sqlite_autoincrement=True,
)
