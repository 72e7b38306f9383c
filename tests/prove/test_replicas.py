"""A replica that is killed or frozen costs nothing that was acknowledged, and stops others for a moment."""

from prove import replicas


def test_replicas_are_killed_and_frozen_without_a_loss(proves):
    proves(replicas.prove, rounds=3)
