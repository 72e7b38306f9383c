"""The documents: names on both sides, what is required, and what is left out."""

import json
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from client.stub import package
from torizon_io_api.models import (
    DelegationInfo,
    EditPackage,
    ErrorRepr,
    ExternalPackage,
    Package,
    PaginationResultPackage,
)


def test_a_field_may_be_given_by_either_name() -> None:
    assert EditPackage(hardwareIds=["a"]) == EditPackage(hardware_ids=["a"])  # type: ignore[call-arg]


def test_a_package_survives_the_way_to_json_and_back() -> None:
    given = Package.from_dict(package(comment="é", proprietaryMeta={"rauc": {"n": 1}}))
    assert Package.from_json(given.to_json()) == given
    assert json.loads(given.to_json()) == package(comment="é", proprietaryMeta={"rauc": {"n": 1}})
    assert given.to_dict()["createdAt"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert "my-app-1.0" in given.to_str()


def test_fields_that_were_not_set_are_left_out_and_none_is_kept() -> None:
    assert EditPackage().to_dict() == {}
    cleared = {"hardwareIds": None, "uri": None, "proprietaryMeta": None, "comment": None}
    edit = EditPackage(hardware_ids=None, uri=None, proprietary_meta=None, comment=None)
    assert edit.to_dict() == cleared
    assert json.loads(edit.to_json()) == cleared


def test_an_assignment_counts_as_setting_a_field_and_is_checked() -> None:
    edit = EditPackage()
    edit.comment = None
    assert edit.to_dict() == {"comment": None}
    with pytest.raises(ValidationError):
        edit.uri = 7  # type: ignore[assignment]


def test_unknown_fields_are_ignored() -> None:
    assert Package.from_dict(package(somethingNew=1)).name == "my-app"


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": None},
        {"size": "3"},
        {"size": 3.0},
        {"hashes": None},
        {"hashes": {"sha256": 1}},
        {"hardwareIds": "x"},
        {"createdAt": "yesterday"},
        {"uri": 1},
    ],
)
def test_a_package_with_a_badly_typed_field_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Package.from_dict(package() | wrong)


@pytest.mark.parametrize("moment", ["2024-01-01T00:00:00Z", "2024-01-01", 1704067200, "2024-01-01T00:00:00"])
def test_times_are_read_in_every_spelling_that_servers_use(moment: object) -> None:
    found = Package.from_dict(package(createdAt=moment)).created_at
    assert found is not None
    assert found.date().isoformat() == "2024-01-01"


def test_an_external_package_names_its_origin() -> None:
    document = package() | {"delegationOrigin": "tdx-nightly.json"}
    assert ExternalPackage.from_dict(document).delegation_origin == "tdx-nightly.json"
    with pytest.raises(ValidationError):
        ExternalPackage.from_dict(package())


def test_a_source_may_know_nothing_about_itself() -> None:
    assert DelegationInfo.from_dict({}).to_dict() == {}


def test_an_error_document_needs_a_message_and_a_code() -> None:
    assert ErrorRepr.from_dict({"msg": "m", "code": "c", "cause": [1]}).cause == [1]
    with pytest.raises(ValidationError):
        ErrorRepr.from_dict({"detail": "x"})
    with pytest.raises(ValidationError):
        ErrorRepr.from_dict({"msg": "m", "code": "c", "errorId": "not a uuid"})


def test_a_page_holds_packages() -> None:
    page = PaginationResultPackage(total=1, offset=0, limit=1, values=[Package.from_dict(package())])
    assert page.to_dict()["values"][0]["packageId"] == "my-app-1.0"
