"""Which source a package comes from: our rule, python-tuf's search and fnmatch(3) of a device agree.

Random sets of sources are signed into delegations as our targets have them, and searched as each client
searches: python-tuf's own walk over its own role objects, and the C library over the paths in the file.
What they find is compared with what downloads are answered from, `delegating.resolve`.
"""

import contextlib
import ctypes
import json
import locale
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from tuf.api.metadata import Delegations, TargetFile, Targets
from tuf.ngclient.config import UpdaterConfig
from tuf.ngclient.updater import Updater

from builders import NOW, package
from otarium.domain import patterns
from otarium.domain.delegating import delegations, resolve
from otarium.domain.delegation import Delegation, SourceFile
from otarium.domain.errors import Invalid
from otarium.domain.names import OWN_SOURCE, SourceName
from otarium.domain.publishers import PublisherKey
from otarium.domain.roles import Dialect
from otarium.domain.sources import Fetching, Source

SETS = 1000
OWN = "targets"
LIBC = ctypes.CDLL(None)
LIBC.setlocale.restype = ctypes.c_char_p
LIBC.setlocale.argtypes = [ctypes.c_int, ctypes.c_char_p]
LIBC.fnmatch.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int]
KEY = PublisherKey("k", "ed25519", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")


EXPIRED, ENDING, LASTING = NOW - 1, NOW + 60, NOW + 86_400
"""When lists expire. One that is about to has left /tuf already."""


@dataclass(frozen=True)
class Listed:
    """A source: where it may publish, what it lists there, and until when in which dialect."""

    paths: tuple[str, ...]
    names: frozenset[str]
    expires: Mapping[Dialect, int]


@dataclass(frozen=True)
class Tree:
    own: frozenset[str]
    sources: Sequence[Listed]

    def listed(self, place: int, dialect: Dialect) -> frozenset[str]:
        """What clients read in the file of a source; aktualizr skips one that expired."""
        one = self.sources[place]
        return one.names if one.expires[dialect] > NOW else frozenset()


def parses(pattern: str) -> bool:
    try:
        return patterns.parse(pattern) == pattern
    except Invalid:
        return False


LITERALS = ("a", "b", "ab", "1", "a-1", "b-", "-", "a1b", "é", "[a]", "b*", "a?")
GLOBS = ("*", "*", "?", "a*", "*b", "*-1", "?-*", "**", "a*b")
ODD_GLOBS = ("[ab]*", "[!a]", "a\\*", "é*", "é?")


def joined(random: Random, parts: Sequence[str]) -> str:
    return "/".join(random.choices(parts, k=random.choice((1, 1, 1, 2, 3))))


def patterns_of(random: Random, wanted: Sequence[str], parts: Sequence[str]) -> tuple[str, ...]:
    """Some are names as they stand."""
    made = [
        random.choice(wanted) if random.random() < 0.3 else joined(random, parts)
        for _ in range(random.randint(1, 3))
    ]
    return tuple(filter(parses, made)) or ("*",)


def random_tree(random: Random) -> tuple[Tree, list[str]]:
    """A tree, and the names to look for: most are listed somewhere. Every third tree has no globs at all,
    every third has some that clients read differently."""
    parts = (LITERALS, (*LITERALS, *GLOBS * 2), (*LITERALS, *GLOBS * 2, *ODD_GLOBS))[random.randrange(3)]
    wanted = sorted({joined(random, LITERALS) for _ in range(6)})
    sources = []
    for _ in range(random.randint(1, 6)):
        where = patterns_of(random, wanted, parts)
        listed = frozenset(name for name in wanted if random.random() < 0.6 and covers(where, name))
        dialects = random.choice((list(Dialect), list(Dialect), [Dialect.UPTANE], [Dialect.TUF]))
        times = {dialect: random.choice((EXPIRED, ENDING, *[LASTING] * 6)) for dialect in dialects}
        sources.append(Listed(where, listed, times))
    return Tree(frozenset(name for name in wanted if random.random() < 0.1), sources), wanted


def covers(where: Sequence[str], name: str) -> bool:
    """A list with anything else in it is not taken over."""
    return Delegation(SourceName("x"), {}, 1, tuple(where)).covers(name)


def name_of(place: int) -> str:
    return f"source-{place}"


def place_of(name: str) -> int:
    return int(name.removeprefix("source-"))


def sources_of(tree: Tree) -> list[Source]:
    """As the catalog has them."""
    sources = []
    for place, listed in enumerate(tree.sources):
        delegation = Delegation(SourceName(name_of(place)), {"k": KEY}, 1, listed.paths)
        files = {
            dialect: SourceFile(delegation.name, dialect, 1, "0" * 64, "0" * 64, 1, expires, NOW - 9, NOW - 9)
            for dialect, expires in listed.expires.items()
        }
        sources.append(Source(delegation, Fetching("https://x"), place, NOW - 9, files=files))
    return sources


def signed_delegations(sources: Sequence[Source], dialect: Dialect) -> Any:
    """The member of targets.json, as it would be signed."""
    return json.loads(json.dumps(delegations(sources, dialect, NOW) or {"keys": {}, "roles": []}))


def by_us(tree: Tree, sources: Sequence[Source], dialect: Dialect, name: str) -> str | None:
    """Of the packages of this id that the catalog has, in any order."""
    offering = [source.name for source, one in zip(sources, tree.sources, strict=True) if name in one.names]
    offering += [OWN_SOURCE] if name in tree.own else []
    random = Random(name)
    offered = [package(source=source) for source in random.sample(offering, len(offering))]
    found = resolve(offered, sources, dialect, NOW)
    return found and found.source


def by_device(tree: Tree, stated: Any, name: str) -> str | None:
    if name in tree.own:
        return OWN
    for role in stated["roles"]:
        listed = tree.listed(place_of(role["name"]), Dialect.UPTANE)
        if any(fnmatch(pattern, name) for pattern in role["paths"]) and name in listed:
            return str(role["name"])
    return None


def fnmatch(pattern: str, name: str) -> bool:
    return bool(LIBC.fnmatch(pattern.encode(), name.encode(), 0) == 0)


@contextlib.contextmanager
def c_locale() -> Iterator[None]:
    """Devices never call setlocale, so their C library compares bytes."""
    before = LIBC.setlocale(locale.LC_CTYPE, None)
    LIBC.setlocale(locale.LC_CTYPE, b"C")
    try:
        yield
    finally:
        LIBC.setlocale(locale.LC_CTYPE, before)


class Walk(Updater):
    """python-tuf's search over roles that are at hand: nothing is fetched."""

    def __init__(self, roles: dict[str, Targets]) -> None:
        self._trusted_set = roles  # type: ignore[assignment]
        self.config = UpdaterConfig()

    def _load_targets(self, role: str, parent_role: str) -> Targets:
        return self._trusted_set[role]  # type: ignore[return-value]


def by_python_tuf(tree: Tree, stated: Any, names: Sequence[str]) -> dict[str, str | None]:
    sent_to = [role["name"] for role in stated["roles"]]
    roles = {OWN: Targets(targets=targets_of(tree.own, OWN), delegations=Delegations.from_dict(stated))}
    for role in sent_to:
        roles[role] = Targets(targets=targets_of(tree.listed(place_of(role), Dialect.TUF), role))
    walk = Walk(roles)
    found = {name: walk.get_targetinfo(name) for name in names}
    return {name: target.custom["by"] if target else None for name, target in found.items()}


def targets_of(names: frozenset[str], role: str) -> dict[str, TargetFile]:
    return {name: TargetFile(1, {"sha256": "0" * 64}, name, {"custom": {"by": role}}) for name in names}


def is_comparable(tree: Tree, name: str) -> bool:
    """Whether no pattern was warned about, or what it was warned about cannot matter for this name."""
    every = [pattern for listed in tree.sources for pattern in listed.paths]
    if all(patterns.ambiguity(pattern) is None for pattern in every):
        return True
    slash = patterns.ambiguity("*")
    told = {patterns.ambiguity(pattern) for pattern in every} - {None}
    return "/" not in name and name.isascii() and told <= {slash}


def test_packages_of_random_trees_come_from_the_same_source_for_every_client() -> None:
    compared: Counter[str | None] = Counter()
    for number in range(SETS):
        tree, wanted = random_tree(Random(number))
        sources = sources_of(tree)
        ours = {name: by_us(tree, sources, Dialect.UPTANE, name) for name in wanted}
        stated = signed_delegations(sources, Dialect.UPTANE)
        with c_locale():
            assert {name: by_device(tree, stated, name) for name in wanted} == ours, (number, tree)
        alike = [name for name in wanted if is_comparable(tree, name)]
        ours = {name: by_us(tree, sources, Dialect.TUF, name) for name in alike}
        found = by_python_tuf(tree, signed_delegations(sources, Dialect.TUF), alike)
        assert found == ours, (number, tree)
        compared.update(found.values())
    assert compared[OWN] > 100 and compared[None] > 100
    assert all(compared[name_of(place)] > 20 for place in range(4)), compared


@pytest.mark.parametrize("dialect", Dialect)
def test_whoever_names_the_bytes_gets_them_from_the_nearest_source_that_lists_them(dialect: Dialect) -> None:
    """Its release may be an older one, so a source that nobody is sent to any more will do."""
    lists = [
        Listed(("*",), frozenset(), dict.fromkeys(Dialect, ends)) for ends in (EXPIRED, LASTING, LASTING)
    ]
    sources = sources_of(Tree(frozenset(), lists))
    expired, near, far = (package(source=source.name) for source in sources)
    other = package("other", source=near.source)
    sha256 = near.content.sha256
    for offered, expected in (
        ([far, other, near, expired], near),
        ([expired, other, far], far),
        ([other, expired], expired),
        ([other], None),
    ):
        assert resolve(offered, sources, dialect, NOW, sha256) == expected
    assert resolve([expired], sources, dialect, NOW) is None
