"""A full disk refuses uploads and nothing else."""

from prove import full_disk


def test_a_full_disk_refuses_uploads_leaves_nothing_and_recovers_by_itself(proves):
    proves(full_disk.prove)
