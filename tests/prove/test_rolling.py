"""Rolling restarts behind the proxies that are shipped."""

from prove import rolling


def test_no_get_of_a_device_fails_and_no_upload_is_lost_while_replicas_restart_in_turn(proves):
    proves(rolling.prove, rounds=1)
