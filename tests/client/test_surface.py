"""The names and arguments that programs written for the documented client use."""

import importlib
import inspect
import re
from importlib.metadata import version
from pathlib import Path

import pytest

import torizon_io_api
from torizon_io_api import PackagesApi

CALLS = {
    "delete_packages_packageid": ["package_id"],
    "get_packages": [
        "offset",
        "limit",
        "id_contains",
        "name_contains",
        "package_source",
        "name",
        "version",
        "hardware_ids",
        "hashes",
        "sort_by",
        "sort_direction",
        "package_ids",
        "has_sbom",
    ],
    "get_packages_external": ["offset", "limit", "id_contains"],
    "get_packages_external_info": [],
    "get_packages_external_refresh_source_file_name": ["source_file_name"],
    "get_packages_packageid": ["package_id"],
    "patch_packages_packageid": ["package_id", "edit_package"],
    "post_packages": ["name", "version", "target_format", "content_length", "body", "hardware_id"],
}


@pytest.mark.parametrize("suffix", ["", "_with_http_info", "_without_preload_content"])
@pytest.mark.parametrize("call", CALLS)
def test_each_call_takes_its_documented_arguments_in_order_in_all_three_forms(call: str, suffix: str) -> None:
    method = getattr(PackagesApi, call + suffix)
    parameters = inspect.signature(method).parameters.values()
    positional = [one.name for one in parameters if one.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert positional == ["self", *CALLS[call]]
    assert {"_request_timeout", "_headers"} <= {one.name for one in parameters}
    assert method.__name__ == call + suffix
    assert method.__doc__


def test_the_class_has_no_other_calls() -> None:
    forms = ("", "_with_http_info", "_without_preload_content")
    expected = {call + form for call in CALLS for form in forms} | {"iter_packages"}
    assert {name for name in vars(PackagesApi) if not name.startswith("_")} == expected


@pytest.mark.parametrize(
    "module",
    [
        "bad_request_repr",
        "conflict_repr",
        "delegation_info",
        "edit_package",
        "external_package",
        "not_found_repr",
        "package",
        "pagination_result_external_package",
        "pagination_result_package",
        "sort_direction",
        "target_items_sort",
    ],
)
def test_each_model_is_found_in_its_module_and_at_the_top(module: str) -> None:
    name = re.sub(r"(?:^|_)(\w)", lambda match: match.group(1).upper(), module)
    model = getattr(importlib.import_module(f"torizon_io_api.models.{module}"), name)
    assert getattr(torizon_io_api, name) is model
    assert getattr(torizon_io_api.models, name) is model


def test_everything_that_is_announced_exists() -> None:
    assert all(hasattr(torizon_io_api, name) for name in torizon_io_api.__all__)
    assert torizon_io_api.rest.ApiException is torizon_io_api.ApiException


def test_the_module_says_which_implementation_and_version_it_is() -> None:
    assert torizon_io_api.__implementation__ == "otarium"
    assert torizon_io_api.__version__ == version("otarium")


def test_the_documented_default_host_is_kept() -> None:
    assert torizon_io_api.Configuration().host == "https://app.torizon.io/api/v2beta"
    login = torizon_io_api.Configuration("https://ota.example:8443/api/v2", client_id="a", client_secret="b")
    assert login.token_url == "https://ota.example:8443/auth/realms/ota-users/protocol/openid-connect/token"


def test_the_client_imports_nothing_of_the_server() -> None:
    folder = Path(inspect.getfile(torizon_io_api)).parent
    for path in folder.rglob("*.py"):
        assert not re.search(r"^\s*(from|import)\s+otarium", path.read_text(), re.MULTILINE), path
