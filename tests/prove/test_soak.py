"""A server that works for a while is as large and as quick as before."""

from prove import soak


def test_a_mixed_load_with_a_source_fails_nothing_and_leaves_memory_and_files_as_they_were(proves):
    proves(soak.prove, rounds=1)


def test_the_same_load_as_fast_as_it_is_answered_leaves_them_too(proves, monkeypatch):
    monkeypatch.setattr(soak, "HOURS", 0.03)
    proves(soak.prove_memory)
