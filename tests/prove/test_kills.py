"""Killed at any moment, the server loses nothing that it acknowledged."""

from prove import kills


def test_nothing_acknowledged_is_lost_and_no_version_has_two_byte_strings_after_kills(proves):
    proves(kills.prove, rounds=6)
