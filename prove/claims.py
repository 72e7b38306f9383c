"""What a proof takes and what may come of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


class Disproved(AssertionError):
    """The server broke a promise."""


class Impossible(Exception):
    """The proof cannot be run here; says why."""


@dataclass(frozen=True, slots=True)
class Setup:
    """`rounds` 0 takes the proof's own number. `patience`: seconds that a machine with other work to do may
    add to what is promised."""

    directory: Path
    seed: int
    rounds: int = 0
    patience: float = 0.0


Proof = Callable[[Setup], list[str]]
"""Answers what was seen, line by line. Raises Disproved or Impossible."""


def claim(holds: bool, otherwise: object) -> None:
    """Raises Disproved when it does not hold."""
    if not holds:
        raise Disproved(str(otherwise))
