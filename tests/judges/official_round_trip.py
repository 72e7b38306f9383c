"""The full round trip with an installed release of the official client; needs only it and Python.

official_round_trip.py HOST TOKEN: prints {"client", "passed", "failed"} and exits with 0 when nothing failed.
"""

import datetime
import hashlib
import inspect
import json
import sys
import traceback

import torizon_io_api as client
from torizon_io_api.exceptions import (
    ApiException,
    BadRequestException,
    NotFoundException,
    UnauthorizedException,
)

# The oldest release has no class of its own for 409.
Conflict = getattr(client.exceptions, "ConflictException", ApiException)
MARK = "official-" + client.__version__
ODD_NAME = MARK + "/ünï +%,&;~x y"
ODD_VERSION = "1.0+b~1 é,&;%41"
ALL = 2**63 - 1
# This release names a class that it lacks wherever a free JSON value is not null: it parses no error with a
# description, and no package with proprietaryMeta. It drops nulls from edits, too. All else is asked of it.
NO_FREE_JSON = client.__version__ == "0.0.6"
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


class Journey:
    def __init__(self, host, token):
        self.host = host
        self.api = self.api_for(token)

    def api_for(self, token):
        return client.PackagesApi(client.ApiClient(client.Configuration(host=self.host, access_token=token)))

    def post(self, version, body, name=MARK, hardware_id=("docker-compose",)):
        return self.api.post_packages(
            name=name,
            version=version,
            target_format="BINARY",
            content_length=len(body),
            body=body,
            hardware_id=list(hardware_id),
        )

    def ids(self, **filters):
        return [package.package_id for package in self.api.get_packages(**filters).values]

    def patch(self, package_id, **changes):
        return self.api.patch_packages_packageid(package_id, client.EditPackage(**changes))

    def takes(self, call, argument):
        return argument in inspect.signature(getattr(self.api, call)).parameters


def equal(found, expected):
    if found != expected:
        raise AssertionError(f"{found!r} instead of {expected!r}")


def refused(kind, status, code, call, *words, **arguments):
    """The call raises `kind`, and its body was parsed into the documented error."""
    try:
        call(*words, **arguments)
    except kind as error:
        equal(error.status, status)
        if code is not None:
            found = json.loads(error.body) if NO_FREE_JSON else error.data.to_dict()
            equal(found["code"], code)
            equal(bool(found["msg"]), True)
        return error
    raise AssertionError(f"no {kind.__name__}")


@check
def a_posted_package_comes_back_with_every_field(journey):
    body = b"services: {}\n"
    package = journey.post("1.0.0", body, hardware_id=["docker-compose", "x y"])
    found = (package.name, package.version, package.package_id, package.size, package.pkg_type)
    equal(found, (MARK, "1.0.0", MARK + "-1.0.0", len(body), "BINARY"))
    equal(package.hashes["sha256"], hashlib.sha256(body).hexdigest())
    equal(sorted(package.hardware_ids), ["docker-compose", "x y"])
    equal(package.package_source, "targets.json")
    equal(isinstance(package.created_at, datetime.datetime) and package.created_at.tzinfo is not None, True)
    equal(package.additional_properties if hasattr(package, "additional_properties") else {}, {})


@check
def names_and_versions_with_odd_characters_survive(journey):
    package = journey.post(ODD_VERSION, b"odd", name=ODD_NAME, hardware_id=["a,b", "c&d"])
    equal((package.name, package.version), (ODD_NAME, ODD_VERSION))
    equal(package.package_id, f"{ODD_NAME}-{ODD_VERSION}")
    equal(sorted(package.hardware_ids), ["a,b", "c&d"])


@check
def the_same_upload_again_is_answered_and_another_one_conflicts(journey):
    first = journey.post("same", b"same")
    equal(journey.post("same", b"same").to_dict(), first.to_dict())
    refused(Conflict, 409, "conflicting_entity", journey.post, "same", b"other")
    equal(
        journey.ids(name=MARK, version="same", hashes=[hashlib.sha256(b"same").hexdigest()]), [MARK + "-same"]
    )


@check
def a_pair_with_the_id_of_another_pair_conflicts(journey):
    journey.post("c", b"1", name=MARK + "-a-b")
    refused(Conflict, 409, "conflicting_entity", journey.post, "b-c", b"1", name=MARK + "-a")


@check
def a_page_tells_total_offset_and_limit(journey):
    page = journey.api.get_packages()
    equal((page.offset, page.limit), (0, 50))
    equal(len(page.values), min(page.total, 50))
    page = journey.api.get_packages(offset=1, limit=2, name_contains=MARK)
    equal((page.offset, page.limit, len(page.values)), (1, 2, 2))
    equal(journey.ids(offset=10**6), [])
    page = journey.api.get_packages(limit=0)
    equal((page.values, page.limit, page.total > 0), ([], 0, True))


@check
def the_largest_limit_returns_everything(journey):
    page = journey.api.get_packages(limit=ALL)
    equal((page.limit, len(page.values)), (ALL, page.total))


@check
def empty_lists_are_no_filter(journey):
    lists = ["package_source", "hardware_ids", "hashes", "package_ids"]
    empty = {name: [] for name in lists if journey.takes("get_packages", name)}
    equal(journey.ids(limit=ALL, **empty), journey.ids(limit=ALL))


@check
def every_filter_finds_what_it_says(journey):
    odd_id, odd_hash = f"{ODD_NAME}-{ODD_VERSION}", hashlib.sha256(b"odd").hexdigest()
    filters = [
        {"name": ODD_NAME},
        {"version": ODD_VERSION},
        {"name_contains": ODD_NAME[3:].upper()},
        {"id_contains": odd_id[5:-2]},
        {"hashes": [odd_hash, "0" * 64]},
        {"hardware_ids": ["a,b"]},
        {"hardware_ids": ["nothing", "c&d"], "package_source": ["targets.json"]},
    ]
    if journey.takes("get_packages", "package_ids"):
        filters.append({"package_ids": [odd_id, "no/such+one"]})
    for one in filters:
        equal(journey.ids(**{"name_contains": MARK, **one}), [odd_id])
    for none in ({"hardware_ids": ["a"]}, {"package_source": ["no-such-source"]}, {"name": MARK + "%"}):
        equal(journey.ids(**none), [])


@check
def both_orders_sort_both_ways(journey):
    sort, way = client.TargetItemsSort, client.SortDirection
    for key in (sort.FILENAME, sort.CREATEDAT):
        rising = journey.ids(name_contains=MARK, sort_by=key, sort_direction=way.ASC, limit=ALL)
        falling = journey.ids(name_contains=MARK, sort_by=key, sort_direction=way.DESC, limit=ALL)
        equal(falling, rising[::-1])
        if key is sort.FILENAME:
            equal(rising, sorted(rising))


@check
def one_package_can_be_fetched_by_its_id_where_the_client_can(journey):
    if hasattr(journey.api, "get_packages_packageid"):
        odd_id = f"{ODD_NAME}-{ODD_VERSION}"
        equal(journey.api.get_packages_packageid(odd_id).package_id, odd_id)
        refused(NotFoundException, 404, "target_not_found", journey.api.get_packages_packageid, "no-such")


@check
def an_edit_changes_what_it_names_clears_what_is_null_and_keeps_the_rest(journey):
    odd_id = f"{ODD_NAME}-{ODD_VERSION}"
    meta = None if NO_FREE_JSON else {"rauc": {"rawHashes": ["a", 1, None, True]}, "größe": 'line\n"two"'}
    edited = journey.patch(odd_id, comment="Nötig", proprietary_meta=meta, uri="https://example.org/x")
    equal((edited.comment, edited.proprietary_meta, edited.uri), ("Nötig", meta, "https://example.org/x"))
    equal(journey.patch(odd_id).to_dict(), edited.to_dict())
    cleared = journey.patch(odd_id, comment=None, uri=None, hardware_ids=["only"])
    nulls = (edited.comment, edited.uri) if NO_FREE_JSON else (None, None)
    equal((cleared.comment, cleared.uri, cleared.hardware_ids), (*nulls, ["only"]))
    equal(cleared.proprietary_meta, meta)
    equal(journey.patch(odd_id, hardware_ids=[]).hardware_ids, [])
    equal(journey.patch(odd_id, proprietary_meta=None, hardware_ids=["b"]).hardware_ids, ["b"])
    equal(journey.api.get_packages(name=ODD_NAME).values[0].hardware_ids, ["b"])


@check
def a_version_that_devices_could_not_fetch_is_a_bad_request(journey):
    for version in ("1?0", "1#0", "1\\0", "a/b", "1\n0", " 1", ""):
        error = refused(BadRequestException, 400, "invalid_entity", journey.post, version, b"x")
        equal(NO_FREE_JSON or type(error.data).__name__ == "BadRequestRepr", True)
    equal(journey.ids(name=MARK, version="1?0"), [])


@check
def bad_queries_and_bad_edits_are_bad_requests(journey):
    refused(BadRequestException, 400, "invalid_entity", journey.api.get_packages, limit=-1)
    refused(BadRequestException, 400, "invalid_entity", journey.api.get_packages, hashes=["xyz"])
    if not NO_FREE_JSON:
        reserved = {"proprietary_meta": {"hardwareIds": ["x"]}}
        refused(BadRequestException, 400, "invalid_entity", journey.patch, MARK + "-1.0.0", **reserved)


@check
def unknown_packages_are_not_found(journey):
    for call in (journey.api.delete_packages_packageid, journey.patch):
        error = refused(NotFoundException, 404, "target_not_found", call, "no such/package+é%-1")
        equal(NO_FREE_JSON or type(error.data).__name__ == "NotFoundRepr", True)


@check
def external_sources_are_told_as_they_are(journey):
    page = journey.api.get_packages_external(offset=0, limit=ALL, id_contains="x/y")
    equal((page.values, page.total, page.offset, page.limit), ([], 0, 0, ALL))
    equal(journey.api.get_packages_external_info(), {})
    for name in ("tdx-nightly.json", "tdx-nightly"):
        refresh = journey.api.get_packages_external_refresh_source_file_name
        refused(NotFoundException, 404, "delegations_not_found", refresh, name)


@check
def a_wrong_token_is_unauthorized(journey):
    for token in ("wrong", None):
        refused(UnauthorizedException, 401, None, journey.api_for(token).get_packages)


@check
def ids_that_the_client_turns_into_the_collection_delete_nothing(journey):
    before = journey.api.get_packages().total
    for package_id in (".", "..", ""):
        try:
            journey.api.delete_packages_packageid(package_id)
        except ApiException as error:
            equal(error.status in (400, 404, 405), True)
        else:
            raise AssertionError(f"DELETE of {package_id!r} succeeded")
    equal(journey.api.get_packages().total, before)


@check
def a_deleted_package_is_gone_and_a_second_delete_finds_nothing(journey):
    odd_id = f"{ODD_NAME}-{ODD_VERSION}"
    equal(journey.api.delete_packages_packageid(odd_id), None)
    equal(journey.ids(name=ODD_NAME), [])
    refused(NotFoundException, 404, "target_not_found", journey.api.delete_packages_packageid, odd_id)
    again = journey.post(ODD_VERSION, b"odd", name=ODD_NAME, hardware_id=["a,b", "c&d"])
    equal((again.package_id, again.comment, again.proprietary_meta), (odd_id, None, None))


def main(host, token):
    journey, passed, failed = Journey(host, token), [], {}
    for function in CHECKS:
        try:
            function(journey)
            passed.append(function.__name__)
        except Exception:
            failed[function.__name__] = traceback.format_exc(limit=-3)
    print(json.dumps({"client": client.__version__, "host": host, "passed": passed, "failed": failed}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
