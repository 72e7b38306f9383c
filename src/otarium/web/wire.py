"""The wire of the Packages API: query strings and bodies into domain values, and back.

The structs here are the published names and spellings; the OpenAPI document is made from them. No text
from outside passes this file as a bare string where the domain has a type for it.
"""

import base64
import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import UNSET, Meta, UnsetType

from otarium.domain import canonical
from otarium.domain.errors import Invalid
from otarium.domain.names import (
    HardwareId,
    PackageId,
    PackageName,
    PackageVersion,
    Sha256,
    SourceName,
)
from otarium.domain.packages import (
    KEEP,
    MAX_LIMIT,
    Content,
    NewPackage,
    PackageEdit,
    PackageQuery,
    TargetFormat,
    parse_comment,
    parse_meta,
    parse_uri,
)
from otarium.services.uploads import Upload

Offset = Annotated[int, Meta(ge=0, le=MAX_LIMIT)]
Hash = Annotated[str, Meta(pattern="^[0-9a-fA-F]{64}$", description="SHA-256 in hexadecimal")]


class ListQuery(msgspec.Struct, rename="camel"):
    """GET /packages, in the documented order."""

    offset: Offset = 0
    limit: Offset = 50
    id_contains: str | None = None
    name_contains: str | None = None
    package_source: list[str] = []
    name: str | None = None
    version: str | None = None
    hardware_ids: list[str] = []
    hashes: list[Hash] = []
    sort_by: Literal["Filename", "CreatedAt"] = "CreatedAt"
    sort_direction: Literal["Asc", "Desc"] = "Desc"
    package_ids: list[str] = []
    has_sbom: bool | None = msgspec.field(name="hasSBOM", default=None)

    def to_domain(self) -> PackageQuery:
        def normal(text: str | None) -> str | None:
            return None if text is None else PackageId.lookup(text)

        return PackageQuery(
            offset=self.offset,
            limit=self.limit,
            id_contains=normal(self.id_contains),
            name_contains=normal(self.name_contains),
            sources=tuple(map(SourceName.lookup, self.package_source)),
            name=normal(self.name),
            version=normal(self.version),
            hardware_ids=tuple(map(PackageId.lookup, self.hardware_ids)),
            hashes=tuple(map(Sha256.parse, self.hashes)),
            ids=tuple(map(PackageId.lookup, self.package_ids)),
            has_sbom=self.has_sbom,
            sort_by=self.sort_by,
            ascending=self.sort_direction == "Asc",
        )


class ExternalListQuery(msgspec.Struct, rename="camel"):
    """GET /packages_external."""

    offset: Offset = 0
    limit: Offset = 50
    id_contains: str | None = None

    def to_domain(self) -> PackageQuery:
        contained = None if self.id_contains is None else PackageId.lookup(self.id_contains)
        return PackageQuery(self.offset, self.limit, contained, external=True)


class UploadQuery(msgspec.Struct, rename="camel"):
    """POST /packages, in the documented order."""

    name: Annotated[str, Meta(min_length=1)]
    version: Annotated[str, Meta(min_length=1)]
    target_format: Annotated[str, Meta(description="BINARY, in any case")]
    hardware_id: list[str] = []

    def to_domain(self, length: int, sha256: Sha256 | None, accept_overlap: bool) -> Upload:
        name, version = PackageName.parse(self.name), PackageVersion.parse(self.version)
        PackageId.of(name, version)
        if TargetFormat.parse(self.target_format) is TargetFormat.OSTREE:
            raise Invalid(
                "An OSTREE package carries no bytes here: push the commit to its OSTree store and add it "
                "with POST /api/otarium/v1/packages/references."
            )
        return Upload(name, version, HardwareId.parse_all(self.hardware_id), length, sha256, accept_overlap)


class EditBody(msgspec.Struct, rename="camel"):
    """PATCH /packages/{packageId}: absent keeps, null clears, a value replaces."""

    hardware_ids: list[str] | UnsetType | None = UNSET
    uri: str | UnsetType | None = UNSET
    proprietary_meta: Any | UnsetType = UNSET
    comment: str | UnsetType | None = UNSET

    def to_domain(self) -> PackageEdit:
        def parsed(value: Any, parse: Any) -> Any:
            if value is UNSET:
                return KEEP
            return None if value is None else parse(value)

        ids = KEEP if self.hardware_ids is None else parsed(self.hardware_ids, HardwareId.parse_all)
        return PackageEdit(
            hardware_ids=ids,
            uri=parsed(self.uri, parse_uri),
            comment=parsed(self.comment, parse_comment),
            meta=parsed(self.proprietary_meta, parse_meta),
        )


class ReferenceBody(msgspec.Struct, rename="camel"):
    """POST /api/otarium/v1/packages/references."""

    name: Annotated[str, Meta(min_length=1)]
    version: Annotated[str, Meta(min_length=1)]
    sha256: Hash
    length: Annotated[int, Meta(ge=0, le=canonical.MAX_INTEGER)]
    uri: Annotated[str, Meta(pattern="^https?://", max_length=2048)]
    target_format: Annotated[str, Meta(description="BINARY or OSTREE, in any case")] = "BINARY"
    hardware_ids: list[str] = []
    accept_overlap: Annotated[
        bool, Meta(description="Yes to a new name that an external source may publish too")
    ] = False

    def to_domain(self) -> NewPackage:
        form = TargetFormat.parse(self.target_format)
        if self.length == 0 and form is not TargetFormat.OSTREE:
            raise Invalid("length 0 is for OSTREE packages only; give the length of the file in bytes.")
        hardware_ids = HardwareId.parse_all(self.hardware_ids)
        content = Content(
            form, Sha256.parse(self.sha256), self.length, frozenset(hardware_ids), parse_uri(self.uri)
        )
        name, version = PackageName.parse(self.name), PackageVersion.parse(self.version)
        PackageId.of(name, version)
        return NewPackage(name, version, hardware_ids, content)


T = TypeVar("T", bound=msgspec.Struct)


def query(raw: bytes, into: type[T]) -> T:
    """Read a query string strictly into a struct. `a[]=1` means `a=1`; unknown parameters are ignored; a
    comma is a character like any other. Raises Invalid.
    """
    parameters = _parameters(into)
    values: dict[str, Any] = {}
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=2000)
    except (UnicodeDecodeError, ValueError):
        raise Invalid("The query string is not percent-encoded UTF-8, or has too many parameters.") from None
    for key, value in pairs:
        name = key.removesuffix("[]")
        if name not in parameters:
            continue
        if parameters[name]:
            values.setdefault(name, []).append(value)
        else:
            values[name] = _plain(name, value)
    return _convert(values, into, "The query parameter")


@cache
def _parameters(of: type[msgspec.Struct]) -> dict[str, bool]:
    """The names of the parameters, and whether each may be given several times."""
    return {field.encode_name: "list" in str(field.type) for field in msgspec.structs.fields(of)}


def _plain(name: str, value: str) -> str | int | bool:
    """A query value as what its parameter is; read by hand, since `null`, `1e3` and `yes` mean themselves."""
    if name in ("offset", "limit"):
        if not re.fullmatch(r"-?[0-9]{1,20}", value):
            raise Invalid(f"The query parameter '{name}' was malformed: {value[:40]!r} is no whole number.")
        return int(value)
    if name == "hasSBOM":
        if value.lower() not in ("true", "false"):
            raise Invalid(f"The query parameter '{name}' was malformed: use true or false.")
        return value.lower() == "true"
    return value


def body(raw: bytes, into: type[T]) -> T:
    """Read a JSON body strictly into a struct; unknown members are ignored. Raises Invalid."""
    return _convert(canonical.parse(raw), into, "The member")


def _convert(values: object, into: type[T], what: str) -> T:
    try:
        return msgspec.convert(values, into)
    except msgspec.ValidationError as error:
        text = str(error)
        problem, _, place = text.partition(" - at `$")
        name = place.rstrip("`").lstrip(".")
        missing = re.search(r"required field `(.+)`", problem)
        if missing:
            raise Invalid(f"{what} '{missing[1]}' is missing.", description=text) from None
        where = f"{what} '{name}' was malformed" if name else "The request was malformed"
        raise Invalid(f"{where}: {problem}.", description=text) from None


def content_digest(headers: Mapping[str, str]) -> Sha256 | None:
    """The sha256 that `X-Checksum-Sha256` (hex) or `Content-Digest` (RFC 9530) announce. Raises Invalid,
    also when both are given and differ."""
    announced = set[Sha256]()
    if (plain := headers.get("x-checksum-sha256")) is not None:
        announced.add(Sha256.parse(plain.strip()))
    for member in headers.get("content-digest", "").split(","):
        algorithm, _, value = member.strip().partition("=")
        if algorithm.lower() == "sha-256":
            try:
                announced.add(Sha256.parse(base64.b64decode(value.strip(":"), validate=True).hex()))
            except ValueError:
                raise Invalid("Content-Digest: sha-256 is not base64 between colons (RFC 9530).") from None
    if len(announced) > 1:
        raise Invalid("Content-Digest and X-Checksum-Sha256 name different hashes; send one.")
    return announced.pop() if announced else None
