"""Short versions of the proofs in prove/; `scripts/prove` runs the long ones."""

import os
import sys
from pathlib import Path

import pytest

from harness import PATIENCE

sys.path.append(str(Path(__file__).parents[2]))  # for `prove`, which lies beside `tests`

SEED = 20_260


@pytest.fixture
def proves(tmp_path):
    """Runs a proof; where it is impossible the test is skipped, but not in CI."""
    from prove.claims import Impossible, Setup

    def run(proof, rounds=0):
        try:
            print("\n".join(proof(Setup(tmp_path, SEED, rounds, PATIENCE))))
        except Impossible as reason:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(str(reason))

    return run
