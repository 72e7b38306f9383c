"""The Packages API as methods: each call in three forms, and a walk over all pages.

    get_packages(...)                           the parsed answer
    get_packages_with_http_info(...)            the same inside an ApiResponse, with status and headers
    get_packages_without_preload_content(...)   urllib3's response, unread and of any status

Arguments, order and options are those of the functions of the same name in `packages_calls`.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, ParamSpec, TypedDict, TypeVar, Unpack

from urllib3 import BaseHTTPResponse

from ..api_client import ApiClient
from ..api_response import ApiResponse
from ..call import Call, Headers, Timeout
from ..models.package import Package
from ..models.pagination_result_package import PaginationResultPackage
from ..models.sort_direction import SortDirection
from ..models.target_items_sort import TargetItemsSort
from . import packages_calls as calls

P = ParamSpec("P")
T = TypeVar("T")


def _plain(build: Callable[P, Call[T]]) -> Callable[Concatenate["PackagesApi", P], T]:
    def method(self: "PackagesApi", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.api_client.perform(build(*args, **kwargs)).data

    _present(method, build, "")
    return method


def _with_info(build: Callable[P, Call[T]]) -> Callable[Concatenate["PackagesApi", P], ApiResponse[T]]:
    def method(self: "PackagesApi", /, *args: P.args, **kwargs: P.kwargs) -> ApiResponse[T]:
        return self.api_client.perform(build(*args, **kwargs))

    _present(method, build, "_with_http_info")
    return method


def _unread(build: Callable[P, Call[T]]) -> Callable[Concatenate["PackagesApi", P], BaseHTTPResponse]:
    def method(self: "PackagesApi", /, *args: P.args, **kwargs: P.kwargs) -> BaseHTTPResponse:
        return self.api_client.open(build(*args, **kwargs))

    _present(method, build, "_without_preload_content")
    return method


def _present(method: Callable[..., Any], build: Callable[..., Any], suffix: str) -> None:
    """Gives `help()` and tools the name, the text and the parameters of what the method stands for."""
    signature = inspect.signature(build)
    this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    method.__name__ = f"{build.__name__}{suffix}"
    method.__qualname__ = f"PackagesApi.{method.__name__}"
    method.__doc__ = build.__doc__
    unbound = [this, *signature.parameters.values()]
    method.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=unbound, return_annotation=inspect.Signature.empty
    )


class Filters(TypedDict, total=False):
    """What `iter_packages` takes: the arguments of `get_packages` but `offset` and `limit`."""

    id_contains: str | None
    name_contains: str | None
    package_source: list[str] | None
    name: str | None
    version: str | None
    hardware_ids: list[str] | None
    hashes: list[str] | None
    sort_by: TargetItemsSort | None
    sort_direction: SortDirection | None
    package_ids: list[str] | None
    has_sbom: bool | None
    _request_timeout: Timeout
    _headers: Headers


class PackagesApi:
    """The packages of the repository that `api_client` is configured for."""

    def __init__(self, api_client: ApiClient | None = None) -> None:
        self.api_client = api_client or ApiClient()

    get_packages = _plain(calls.get_packages)
    get_packages_with_http_info = _with_info(calls.get_packages)
    get_packages_without_preload_content = _unread(calls.get_packages)

    get_packages_packageid = _plain(calls.get_packages_packageid)
    get_packages_packageid_with_http_info = _with_info(calls.get_packages_packageid)
    get_packages_packageid_without_preload_content = _unread(calls.get_packages_packageid)

    post_packages = _plain(calls.post_packages)
    post_packages_with_http_info = _with_info(calls.post_packages)
    post_packages_without_preload_content = _unread(calls.post_packages)

    patch_packages_packageid = _plain(calls.patch_packages_packageid)
    patch_packages_packageid_with_http_info = _with_info(calls.patch_packages_packageid)
    patch_packages_packageid_without_preload_content = _unread(calls.patch_packages_packageid)

    delete_packages_packageid = _plain(calls.delete_packages_packageid)
    delete_packages_packageid_with_http_info = _with_info(calls.delete_packages_packageid)
    delete_packages_packageid_without_preload_content = _unread(calls.delete_packages_packageid)

    get_packages_external = _plain(calls.get_packages_external)
    get_packages_external_with_http_info = _with_info(calls.get_packages_external)
    get_packages_external_without_preload_content = _unread(calls.get_packages_external)

    get_packages_external_info = _plain(calls.get_packages_external_info)
    get_packages_external_info_with_http_info = _with_info(calls.get_packages_external_info)
    get_packages_external_info_without_preload_content = _unread(calls.get_packages_external_info)

    get_packages_external_refresh_source_file_name = _plain(
        calls.get_packages_external_refresh_source_file_name
    )
    get_packages_external_refresh_source_file_name_with_http_info = _with_info(
        calls.get_packages_external_refresh_source_file_name
    )
    get_packages_external_refresh_source_file_name_without_preload_content = _unread(
        calls.get_packages_external_refresh_source_file_name
    )

    def iter_packages(self, page_size: int = 500, **filters: Unpack[Filters]) -> Iterator[Package]:
        """All packages that match, page after page as they are asked for.

        Oldest first unless sorted otherwise, because then a package that is added meanwhile cannot push
        another one onto the next page. The loop may delete packages: none is left out, and none comes twice.
        """
        if page_size < 1 or not filters.keys().isdisjoint({"offset", "limit"}):
            raise ValueError(
                "iter_packages pages by itself: give a positive page_size, no offset and no limit"
            )
        if "sort_by" not in filters and "sort_direction" not in filters:
            filters |= {"sort_by": TargetItemsSort.CREATEDAT, "sort_direction": SortDirection.ASC}

        def page(offset: int) -> PaginationResultPackage:
            return self.get_packages(offset=offset, limit=page_size, **filters)

        return _walk(page)


def _walk(page: Callable[[int], PaginationResultPackage]) -> Iterator[Package]:
    """Steps back by as many packages as have vanished, since what follows them has moved forward."""
    seen: set[tuple[str | None, str]] = set()
    offset, total = 0, 0
    while True:
        found = page(offset)
        vanished, total = total - found.total, found.total
        if vanished > 0 and offset > 0:
            offset = max(0, offset - vanished)
            continue
        if not found.values:
            return
        offset += len(found.values)
        for package in found.values:
            key = (package.package_source, package.package_id)
            if key not in seen:
                seen.add(key)
                yield package
