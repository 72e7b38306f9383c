"""The shape that the documentation gives every example in, filled in and run against a server.

Only placeholders are filled: host, token, and the values of arguments.
"""

import os
import subprocess
import sys

import pytest

from harness import Server, api, upload

EXAMPLE = """
import os

import torizon_io_api
{imports}
from torizon_io_api.rest import ApiException
from pprint import pprint

configuration = torizon_io_api.Configuration(
    host = os.environ["EXAMPLE_HOST"]
)
configuration = torizon_io_api.Configuration(
    host = os.environ["EXAMPLE_HOST"],
    access_token = os.environ["BEARER_TOKEN"]
)
with torizon_io_api.ApiClient(configuration) as api_client:
    api_instance = torizon_io_api.PackagesApi(api_client)
{values}
    try:
        api_response = api_instance.{call}
        print("The response of PackagesApi:")
        pprint(api_response)
    except ApiException as e:
        print("Exception when calling PackagesApi: %s" % e)
"""

EXAMPLES = {
    "delete_packages_packageid": (
        "",
        ["package_id = 'to-delete-1'"],
        "delete_packages_packageid(package_id)",
        "None",
    ),
    "get_packages": (
        "from torizon_io_api.models.pagination_result_package import PaginationResultPackage\n"
        "from torizon_io_api.models.sort_direction import SortDirection\n"
        "from torizon_io_api.models.target_items_sort import TargetItemsSort",
        [
            "offset = 0",
            "limit = 56",
            "id_contains = 'docu'",
            "name_contains = 'docu'",
            "package_source = ['targets.json']",
            "name = 'documented'",
            "version = '1'",
            "hardware_ids = ['docker-compose']",
            "hashes = ['{sha256}']",
            "sort_by = torizon_io_api.TargetItemsSort('Filename')",
            "sort_direction = torizon_io_api.SortDirection('Asc')",
        ],
        "get_packages(offset=offset, limit=limit, id_contains=id_contains, name_contains=name_contains, "
        "package_source=package_source, name=name, version=version, hardware_ids=hardware_ids, "
        "hashes=hashes, sort_by=sort_by, sort_direction=sort_direction)",
        "documented-1",
    ),
    "get_packages_external": (
        "from torizon_io_api.models.pagination_result_external_package "
        "import PaginationResultExternalPackage",
        ["offset = 0", "limit = 56", "id_contains = 'id_contains_example'"],
        "get_packages_external(offset=offset, limit=limit, id_contains=id_contains)",
        "total=0",
    ),
    "get_packages_external_info": (
        "from torizon_io_api.models.delegation_info import DelegationInfo",
        [],
        "get_packages_external_info()",
        "{}",
    ),
    "get_packages_external_refresh_source_file_name": (
        "",
        ["source_file_name = 'source_file_name_example'"],
        "get_packages_external_refresh_source_file_name(source_file_name)",
        "Exception when calling PackagesApi",
    ),
    "patch_packages_packageid": (
        "from torizon_io_api.models.edit_package import EditPackage\n"
        "from torizon_io_api.models.package import Package",
        ["package_id = 'documented-1'", "edit_package = torizon_io_api.EditPackage()"],
        "patch_packages_packageid(package_id, edit_package)",
        "documented-1",
    ),
    "post_packages": (
        "from torizon_io_api.models.package import Package",
        [
            "name = 'posted'",
            "version = '1'",
            "target_format = 'BINARY'",
            "content_length = 5",
            "body = b'bytes'",
            "hardware_id = ['docker-compose']",
        ],
        "post_packages(name, version, target_format, content_length, body, hardware_id=hardware_id)",
        "posted-1",
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_documented_example_runs(server: Server, name: str) -> None:
    imports, values, call, expected = EXAMPLES[name]
    found = upload(server, "documented", "1", b"documented")
    if name.startswith("delete"):
        upload(server, "to-delete", "1", b"gone soon")
    lines = "\n".join(f"    {value}" for value in values).replace("{sha256}", found["hashes"]["sha256"])
    script = EXAMPLE.replace("{imports}", imports).replace("{values}", lines).replace("{call}", call)
    environment = os.environ | {"EXAMPLE_HOST": server.api, "BEARER_TOKEN": server.token}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout
    if name.startswith("delete"):
        assert api(server, "GET", "/packages/to-delete-1").status == 404
