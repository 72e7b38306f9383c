"""The official generator makes the documented client of our document: held against the contract."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import http, upload
from judges import official

# From the documented client: what a call returns, its required arguments and its optional ones, in order.
CALLS = {
    "delete_packages_packageid": ("void", "package_id", ""),
    "get_packages": (
        "PaginationResultPackage",
        "",
        "offset limit id_contains name_contains package_source name version hardware_ids hashes sort_by"
        " sort_direction",
    ),
    "get_packages_external": ("PaginationResultExternalPackage", "", "offset limit id_contains"),
    "get_packages_external_info": ("Dict[str, DelegationInfo]", "", ""),
    "get_packages_external_refresh_source_file_name": ("void", "source_file_name", ""),
    "patch_packages_packageid": ("Package", "package_id edit_package", ""),
    "post_packages": ("Package", "name version target_format content_length body", "hardware_id"),
}
NEWER_ARGUMENTS = {"get_packages": "package_ids has_sbom"}  # optional, and after all documented ones
TYPES = {
    "offset": "int",
    "limit": "int",
    "content_length": "int",
    "package_source": "List[str]",
    "hardware_ids": "List[str]",
    "hardware_id": "List[str]",
    "hashes": "List[str]",
    "package_ids": "List[str]",
    "has_sbom": "bool",
    "sort_by": "TargetItemsSort",
    "sort_direction": "SortDirection",
    "edit_package": "EditPackage",
    "body": "bytes",  # "bytearray" with the generator of that time
}
STATUSES = {
    "delete_packages_packageid": {200, 400, 404, 409},
    "get_packages": {200, 400},
    "get_packages_external": {200, 400},
    "get_packages_external_info": {200, 404},
    "get_packages_external_refresh_source_file_name": {200, 400, 404, 409},
    "patch_packages_packageid": {200, 400, 404, 409},
    "post_packages": {200, 400, 409},
}
ERROR = "msg code description cause error_id"
PACKAGE = (
    "name version package_id size hashes package_source pkg_type hardware_ids created_at uri"
    " proprietary_meta comment"
)
MODELS = {
    "Package": PACKAGE,
    "PaginationResultPackage": "values total offset limit",
    "ExternalPackage": "name delegation_origin version package_id size hashes pkg_type hardware_ids"
    " created_at uri proprietary_meta",
    "PaginationResultExternalPackage": "values total offset limit",
    "DelegationInfo": "last_fetched remote_uri friendly_name expires",
    "EditPackage": "hardware_ids uri proprietary_meta comment",
    "BadRequestRepr": ERROR,
    "NotFoundRepr": ERROR,
    "ConflictRepr": ERROR,
}
REQUIRED = {"Package": "name version package_id size hashes", "EditPackage": "", "BadRequestRepr": "msg code"}

USE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import torizon_io_api
from torizon_io_api.rest import ApiException
configuration = torizon_io_api.Configuration(host=sys.argv[2], access_token=sys.argv[3])
with torizon_io_api.ApiClient(configuration) as client:
    api = torizon_io_api.PackagesApi(client)
    made = api.post_packages("golden/é +", "1", "BINARY", 5, b"bytes", hardware_id=["a,b", "c"])
    page = api.get_packages(name="golden/é +", limit=2**63 - 1, hardware_ids=["c", "d"], has_sbom=False)
    edited = api.patch_packages_packageid(made.package_id, torizon_io_api.EditPackage(comment="edited"))
    api.delete_packages_packageid(made.package_id)
    try:
        api.delete_packages_packageid(made.package_id)
        status = 200
    except ApiException as error:
        status, code = error.status, error.data.code
    info = api.get_packages_external_info()
same = page.values[0].to_dict() == made.to_dict()
print(json.dumps([page.total, same, edited.comment, status, code, info]))
"""


@pytest.fixture(scope="module")
def generated(server, tmp_path_factory):
    """The folder with the generated client and its documentation; the generator validates the document."""
    folder = tmp_path_factory.mktemp("generated")
    document = folder / "openapi.json"
    document.write_bytes(http(server, "GET", "/openapi.json", token=None).body)
    generator = str(Path(sys.executable).with_name("openapi-generator-cli"))
    command = [generator, "generate", "-i", str(document), "-g", "python", "-o", str(folder / "client")]
    done = subprocess.run(
        [*command, "--package-name", "torizon_io_api"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder / "client"


@pytest.fixture(scope="module")
def api_page(generated):
    """The documentation of PackagesApi, by call."""
    text = (generated / "docs" / "PackagesApi.md").read_text()
    parts = re.split(r"^# \*\*(\w+)\*\*$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def signature_of(page):
    """(what it returns, the required arguments, the optional ones), as its documentation says."""
    found = re.search(r"^> (?:(?P<result>\S.*?) )?(?P<call>\w+)\((?P<arguments>.*)\)$", page, re.MULTILINE)
    arguments = found["arguments"].split(", ") if found["arguments"] else []
    required = [one for one in arguments if "=" not in one]
    optional = [one.partition("=")[0] for one in arguments if "=" in one]
    assert arguments[: len(required)] == required
    return found["result"] or "void", required, optional


@pytest.mark.parametrize("call", CALLS)
def test_each_call_has_the_documented_name_arguments_order_and_result(api_page, call):
    result, required, optional = CALLS[call]
    found = signature_of(api_page[call])
    assert found == (
        result,
        required.split(),
        optional.split() + NEWER_ARGUMENTS.get(call, "").split(),
    )


@pytest.mark.parametrize("call", CALLS)
def test_each_call_documents_the_statuses_and_types_of_the_contract(api_page, call):
    statuses = {int(one) for one in re.findall(r"^\*\*(\d+)\*\* ", api_page[call], re.MULTILINE)}
    assert statuses >= STATUSES[call]
    rows = re.findall(r"^ \*\*(\w+)\*\* \| \[?\*\*(.+?)\*\*", api_page[call], re.MULTILINE)
    assert rows == [(argument, TYPES.get(argument, "str")) for argument, _ in rows]
    assert len(rows) == sum(map(len, signature_of(api_page[call])[1:]))


def test_there_is_no_call_beyond_the_documented_ones_but_the_one_for_a_single_package(api_page):
    assert set(api_page) - set(CALLS) == {"get_packages_packageid"}
    assert signature_of(api_page["get_packages_packageid"]) == ("Package", ["package_id"], [])


def test_each_model_has_the_documented_fields(generated):
    for model, fields in MODELS.items():
        page = (generated / "docs" / f"{model}.md").read_text()
        rows = re.findall(r"^\*\*(\w+)\*\* \| (?:.*) \| (.*)$", page, re.MULTILINE)
        assert {name for name, _ in rows} == set(fields.split()), model
        required = {name for name, notes in rows if "[optional]" not in notes}
        assert required >= set(REQUIRED.get(model, "").split()), model
        if model in ("EditPackage", "BadRequestRepr"):
            assert required == set(REQUIRED[model].split())


def test_the_orders_have_the_documented_values(generated):
    for model, values in (("target_items_sort", "Filename CreatedAt"), ("sort_direction", "Asc Desc")):
        source = (generated / "torizon_io_api" / "models" / f"{model}.py").read_text()
        assert set(re.findall(r"^    [A-Z]+ = '(\w+)'$", source, re.MULTILINE)) == set(values.split())


def test_the_generated_client_works(server, generated):
    upload(server, "golden-meta", "1", b"x")
    command = [str(official.prepare("0.0.7")), "-I", "-c", USE, str(generated), server.api_v2, server.token]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == [1, True, "edited", 404, "target_not_found", {}]
