"""The documents that travel between client and server, one module each."""

from .bad_request_repr import BadRequestRepr
from .conflict_repr import ConflictRepr
from .delegation_info import DelegationInfo
from .edit_package import EditPackage
from .error_repr import ErrorRepr
from .external_package import ExternalPackage
from .not_found_repr import NotFoundRepr
from .package import Package
from .pagination_result_external_package import PaginationResultExternalPackage
from .pagination_result_package import PaginationResultPackage
from .sort_direction import SortDirection
from .target_items_sort import TargetItemsSort

__all__ = [
    "BadRequestRepr",
    "ConflictRepr",
    "DelegationInfo",
    "EditPackage",
    "ErrorRepr",
    "ExternalPackage",
    "NotFoundRepr",
    "Package",
    "PaginationResultExternalPackage",
    "PaginationResultPackage",
    "SortDirection",
    "TargetItemsSort",
]
