"""A restart that nobody notices."""

from prove import restart


def test_sigterm_under_load_cuts_no_answer_and_exits_with_0(proves):
    proves(restart.prove, rounds=1)
