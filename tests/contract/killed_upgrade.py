"""An upgrade of a database's schema that is killed instead of its n-th statement, or of its commit.

    python killed_upgrade.py URL NUMBER

0 is the commit; with -1 nothing is killed, and it says how many statements there were.
"""

import os
import signal
import sys
from itertools import count
from typing import Any

from sqlalchemy import Engine, event

from otarium.adapters import migrations

_STATEMENTS = count(1)


def _die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(url: str, number: int) -> None:
    def counted(*_: Any) -> None:
        if next(_STATEMENTS) == number:
            _die()

    before = migrations.current(url)
    event.listen(Engine, "before_cursor_execute", counted)
    if number == 0:
        event.listen(Engine, "commit", _die)
    migrations.upgrade(url)
    assert before != migrations.HEAD
    sys.stdout.write(str(next(_STATEMENTS) - 1))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
