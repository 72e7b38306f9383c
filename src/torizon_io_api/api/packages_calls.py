"""The calls of the Packages API as values: arguments in, `Call` out. Nothing is sent here.

Arguments are checked by pydantic before anything leaves the machine; a wrong one raises its ValidationError.
Every call takes two options by keyword: `_request_timeout` (seconds, or (connect, read)) and `_headers` (sent
with this one request, in place of what the client would send under the same names).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, StrictBool, StrictInt, StrictStr, validate_call

from ..call import Call, Headers, T, Timeout, pairs, segment
from ..models.delegation_info import DelegationInfo
from ..models.edit_package import EditPackage
from ..models.package import Package
from ..models.pagination_result_external_package import PaginationResultExternalPackage
from ..models.pagination_result_package import PaginationResultPackage
from ..models.sort_direction import SortDirection
from ..models.target_items_sort import TargetItemsSort
from ..upload import as_upload

if TYPE_CHECKING:
    from ..upload import Progress, Source
else:
    # pydantic cannot describe open files and callbacks; `as_upload` judges the body itself.
    Progress = Source = Any

Id = Annotated[StrictStr, Field(min_length=1)]
Strings = list[StrictStr] | None


@validate_call
def get_packages(
    offset: StrictInt | None = None,
    limit: StrictInt | None = None,
    id_contains: StrictStr | None = None,
    name_contains: StrictStr | None = None,
    package_source: Strings = None,
    name: StrictStr | None = None,
    version: StrictStr | None = None,
    hardware_ids: Strings = None,
    hashes: Strings = None,
    sort_by: TargetItemsSort | None = None,
    sort_direction: SortDirection | None = None,
    package_ids: Strings = None,
    has_sbom: StrictBool | None = None,
    *,
    _request_timeout: Timeout = None,
    _headers: Headers = None,
) -> Call[PaginationResultPackage]:
    """One page of the packages that match all filters; a filter with several values matches any of them.

    The server's defaults: 50 packages from offset 0, newest first. `iter_packages` walks over all pages.
    """
    query = pairs(
        offset=offset,
        limit=limit,
        idContains=id_contains,
        nameContains=name_contains,
        packageSource=package_source,
        name=name,
        version=version,
        hardwareIds=hardware_ids,
        hashes=hashes,
        packageIds=package_ids,
        hasSBOM=has_sbom,
        sortBy=sort_by,
        sortDirection=sort_direction,
    )
    return _get(
        "/packages", PaginationResultPackage.from_dict, query, timeout=_request_timeout, headers=_headers
    )


@validate_call
def get_packages_packageid(
    package_id: Id, *, _request_timeout: Timeout = None, _headers: Headers = None
) -> Call[Package]:
    """One package by its id, which is `name-version` for own packages."""
    return _get(
        f"/packages/{segment(package_id)}", Package.from_dict, timeout=_request_timeout, headers=_headers
    )


@validate_call
def post_packages(
    name: StrictStr,
    version: StrictStr,
    target_format: StrictStr,
    content_length: StrictInt | None = None,
    body: Source | None = None,
    hardware_id: Strings = None,
    *,
    progress: Progress | None = None,
    _request_timeout: Timeout = None,
    _headers: Headers = None,
) -> Call[Package]:
    """Uploads a package.

    `body` is a path, bytes, a (name, bytes) pair or a file open in binary mode, which is sent from where it
    stands; it is streamed, never read into memory. `content_length` is found by itself, but for pipes and the
    like. `progress` is called with (bytes sent, bytes in all). The same upload twice is not an error on the
    server, so one that was refused with 420, 429 or 503 is sent again if the body can be read again. Raises
    ValueError when the body is missing or is not `content_length` bytes long.
    """
    upload = as_upload(body, content_length)
    upload.progress = progress
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(upload.size)}
    return Call(
        method="POST",
        path="/packages",
        query=pairs(name=name, version=version, hardwareId=hardware_id, targetFormat=target_format),
        decode=Package.from_dict,
        headers={**headers, **(_headers or {})},
        body=upload,
        timeout=_request_timeout,
        repeat_if_refused=upload.rewindable,
    )


@validate_call
def patch_packages_packageid(
    package_id: Id, edit_package: EditPackage, *, _request_timeout: Timeout = None, _headers: Headers = None
) -> Call[Package]:
    """Edits a package: fields that were set are sent, None as null; the others keep their value."""
    return Call(
        method="PATCH",
        path=f"/packages/{segment(package_id)}",
        decode=Package.from_dict,
        headers={"Content-Type": "application/json", **(_headers or {})},
        body=edit_package.to_json().encode(),
        timeout=_request_timeout,
    )


@validate_call
def delete_packages_packageid(
    package_id: Id, *, _request_timeout: Timeout = None, _headers: Headers = None
) -> Call[None]:
    """Deletes a package; devices will no longer accept it. A repetition that finds it gone is a success."""
    return Call(
        method="DELETE",
        path=f"/packages/{segment(package_id)}",
        headers=_headers or {},
        timeout=_request_timeout,
        repeat_if_lost=True,
        repeat_if_refused=True,
        gone_is_done=True,
    )


@validate_call
def get_packages_external(
    offset: StrictInt | None = None,
    limit: StrictInt | None = None,
    id_contains: StrictStr | None = None,
    *,
    _request_timeout: Timeout = None,
    _headers: Headers = None,
) -> Call[PaginationResultExternalPackage]:
    """One page of packages of other publishers. Deprecated by the API: `get_packages` lists them as well."""
    return _get(
        "/packages_external",
        PaginationResultExternalPackage.from_dict,
        pairs(offset=offset, limit=limit, idContains=id_contains),
        timeout=_request_timeout,
        headers=_headers,
    )


@validate_call
def get_packages_external_info(
    *, _request_timeout: Timeout = None, _headers: Headers = None
) -> Call[dict[str, DelegationInfo]]:
    """The external sources of the repository by name."""
    return _get("/packages_external/info", _infos, timeout=_request_timeout, headers=_headers)


@validate_call
def get_packages_external_refresh_source_file_name(
    source_file_name: Id, *, _request_timeout: Timeout = None, _headers: Headers = None
) -> Call[None]:
    """Makes the server fetch an external source anew; its name may end in ".json" or not."""
    return _get(
        f"/packages_external/refresh/{segment(source_file_name)}",
        None,
        timeout=_request_timeout,
        headers=_headers,
    )


def _infos(document: Any) -> dict[str, DelegationInfo]:
    if not isinstance(document, dict):
        raise TypeError("sources must be a JSON object")
    return {name: DelegationInfo.from_dict(info) for name, info in document.items()}


def _get(
    path: str,
    decode: Callable[[Any], T] | None,
    query: Sequence[tuple[str, str]] = (),
    *,
    timeout: Timeout,
    headers: Headers,
) -> Call[T]:
    """A call that reads, or whose effect is the same however often it is made."""
    return Call(
        method="GET",
        path=path,
        query=query,
        decode=decode,
        headers=headers or {},
        timeout=timeout,
        repeat_if_lost=True,
        repeat_if_refused=True,
    )
