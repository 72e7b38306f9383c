"""The client of the Packages API, in the shape that the API's documentation shows.

    configuration = torizon_io_api.Configuration(host="http://127.0.0.1:8080/api/v2beta", access_token="...")
    with torizon_io_api.ApiClient(configuration) as api_client:
        packages = torizon_io_api.PackagesApi(api_client)
        packages.post_packages("my-app", "1.0", "BINARY", body="my-app.bin", hardware_id=["my-board"])

It takes the module name of PyPI's torizon-io-api, so that programs written for that one run unchanged;
`__implementation__` tells the two apart.
"""

from . import models
from ._version import __version__
from .api.packages_api import PackagesApi
from .api_client import ApiClient
from .api_response import ApiResponse
from .configuration import Configuration
from .exceptions import (
    ApiException,
    BadRequestException,
    ConflictException,
    ForbiddenException,
    NotFoundException,
    OpenApiException,
    ServiceException,
    UnauthorizedException,
    UnprocessableEntityException,
)
from .models.bad_request_repr import BadRequestRepr
from .models.conflict_repr import ConflictRepr
from .models.delegation_info import DelegationInfo
from .models.edit_package import EditPackage
from .models.error_repr import ErrorRepr
from .models.external_package import ExternalPackage
from .models.not_found_repr import NotFoundRepr
from .models.package import Package
from .models.pagination_result_external_package import PaginationResultExternalPackage
from .models.pagination_result_package import PaginationResultPackage
from .models.sort_direction import SortDirection
from .models.target_items_sort import TargetItemsSort

__implementation__ = "otarium"

__all__ = [
    "ApiClient",
    "ApiException",
    "ApiResponse",
    "BadRequestException",
    "BadRequestRepr",
    "Configuration",
    "ConflictException",
    "ConflictRepr",
    "DelegationInfo",
    "EditPackage",
    "ErrorRepr",
    "ExternalPackage",
    "ForbiddenException",
    "NotFoundException",
    "NotFoundRepr",
    "OpenApiException",
    "Package",
    "PackagesApi",
    "PaginationResultExternalPackage",
    "PaginationResultPackage",
    "ServiceException",
    "SortDirection",
    "TargetItemsSort",
    "UnauthorizedException",
    "UnprocessableEntityException",
    "__implementation__",
    "__version__",
    "models",
]
