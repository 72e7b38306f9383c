"""A server that works for a while is as large and as quick as before."""

from prove import soak


def test_a_mixed_load_with_a_source_fails_nothing_and_leaves_memory_and_files_as_they_were(proves):
    proves(soak.prove, rounds=1)
