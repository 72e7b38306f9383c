"""Walking over all packages, page by page, while the repository changes."""

from itertools import islice
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from client.stub import Answer, Seen, Stub, package, page
from torizon_io_api import PackagesApi


class Repository:
    """Answers lists from `packages` and obeys deletes."""

    def __init__(self, count: int) -> None:
        self.packages: list[dict[str, Any]] = [package(f"p{number}") for number in range(count)]

    def __call__(self, seen: Seen) -> Answer:
        parts = urlsplit(seen.target)
        if seen.method == "DELETE":
            self.packages = [one for one in self.packages if not parts.path.endswith(f"/{one['packageId']}")]
            return Answer()
        query = parse_qs(parts.query)
        offset, limit = int(query["offset"][0]), int(query["limit"][0])
        return page(*self.packages[offset : offset + limit], total=len(self.packages), offset=offset)


def test_all_pages_are_walked_lazily_and_oldest_first(stub: Stub, api: PackagesApi) -> None:
    stub.decide(Repository(7))
    walk = api.iter_packages(page_size=3, name_contains="p")
    assert stub.seen == []
    assert [one.name for one in islice(walk, 3)] == ["p0", "p1", "p2"]
    assert stub.targets == [
        "GET /api/v2beta/packages?offset=0&limit=3&nameContains=p&sortBy=CreatedAt&sortDirection=Asc"
    ]
    assert [one.name for one in walk] == ["p3", "p4", "p5", "p6"]


def test_the_page_size_is_500_and_the_order_can_be_chosen(stub: Stub, api: PackagesApi) -> None:
    stub.decide(Repository(1))
    list(api.iter_packages(sort_by="Filename"))  # type: ignore[arg-type]
    assert stub.targets[0] == "GET /api/v2beta/packages?offset=0&limit=500&sortBy=Filename"


def test_deleting_what_the_walk_yields_leaves_nothing_out(stub: Stub, api: PackagesApi) -> None:
    repository = Repository(10)
    stub.decide(repository)
    walked = []
    for one in api.iter_packages(page_size=3):
        walked.append(one.name)
        api.delete_packages_packageid(one.package_id)
    assert walked == [f"p{number}" for number in range(10)]
    assert repository.packages == []


def test_packages_that_vanish_behind_the_walk_do_not_come_twice(stub: Stub, api: PackagesApi) -> None:
    repository = Repository(9)
    stub.decide(repository)
    walk = api.iter_packages(page_size=3)
    walked = [one.name for one in islice(walk, 4)]
    del repository.packages[7]
    walked += [one.name for one in walk]
    assert walked == ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p8"]


def test_a_page_size_below_one_is_refused(api: PackagesApi) -> None:
    with pytest.raises(ValueError, match="page_size"):
        api.iter_packages(page_size=0)
