"""Files of which the newest are kept for long, those that they replaced for a moment, and few bytes."""

from hypothesis import given
from hypothesis import strategies as st

from otarium.services.recent import Recent

PUTS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9), st.integers(0, 60)), max_size=60)


@given(PUTS)
def test_what_is_kept_is_what_was_put_last_under_its_name_and_version(
    puts: list[tuple[str, int, int]],
) -> None:
    recent: Recent[tuple[int, int]] = Recent(100)
    last: dict[tuple[str, int], tuple[int, int]] = {}
    for number, (name, version, size) in enumerate(puts):
        recent.put(name, version, (number, size), size)
        last[name, version] = (number, size)
        kept = {key: recent.get(*key) for key in last}
        assert all(found in (None, last[key]) for key, found in kept.items())
        sizes = [found[1] for found in kept.values() if found]
        assert sum(sizes) - max(sizes) <= 100 + 100 // 8, "but for one in each part that is too large alone"
        assert recent.get(name, version) == (number, size)


def test_of_a_thousand_releases_the_newest_files_stay_and_few_that_they_replaced() -> None:
    recent: Recent[int] = Recent(800)
    recent.put("shelf", 1, 0, 300)
    for version in range(1, 1001):
        recent.put("targets", version, version, 10)
    assert recent.get("shelf", 1) == 0
    assert [version for version in range(1, 1001) if recent.get("targets", version)] == list(range(990, 1001))


def test_a_file_that_is_asked_for_again_outlives_others_and_does_not_replace_its_successor() -> None:
    recent: Recent[str] = Recent(100)
    for name in "abc":
        recent.put(name, 2, name, 40)
        recent.get("a", 2)
    assert (recent.get("a", 2), recent.get("b", 2)) == ("a", None)
    recent.put("a", 1, "older", 10)
    assert (recent.get("a", 1), recent.get("a", 2)) == ("older", "a")
