"""Many clients at once want the same name, or the same bytes."""

from prove import same_id, sweep


def test_of_64_clients_with_the_same_id_exactly_one_wins(proves):
    proves(same_id.prove, rounds=3)


def test_upload_delete_and_sweep_of_the_same_bytes_lose_no_acknowledged_package(proves):
    proves(sweep.prove, rounds=5)
