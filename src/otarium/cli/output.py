"""What the commands print, and where, and the times they are given.

Results go to stdout: as JSON when asked for, as a table or record that fits the terminal, else as lines with
tabs for other programs. Everything else goes to stderr, an error as one line, and one below it for each
further name that it is about. Colours only on a terminal and never with NO_COLOR. Text that came from
elsewhere is shown without its control characters, which could rewrite the screen.

rich is imported where it draws: the main process of a server never does, and holds what it imports for good.

Exit codes: 0 done, 1 a negative answer or a failure, 2 a command that makes no sense.
"""

import json
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

FAILED = 1
USAGE = 2

_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_DURATION = re.compile(r"(\d+)([smhdw])")
_LONGEST = 10 * 366 * 86_400
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def seconds_of(duration: str) -> int:
    """A lifetime such as 90d in seconds; one that makes no sense is a usage error."""
    match = _DURATION.fullmatch(duration)
    seconds = int(match[1]) * _SECONDS[match[2]] if match and len(match[1]) <= 9 else 0
    if not 1 <= seconds <= _LONGEST:
        raise typer.BadParameter(f"{duration!r} is not a time of up to 10 years; write 30m, 12h, 90d or 52w")
    return seconds


def console(stream: IO[str]) -> "Console":
    """Asks only the stream whether it is a terminal, whatever the environment says; rich obeys NO_COLOR."""
    from rich.console import Console

    return Console(file=stream, force_terminal=stream.isatty(), markup=False, highlight=False, emoji=False)


def printable(value: object, *, lines: bool = False) -> str:
    """The text on one line (or with its line breaks), with U+FFFD for what would act on a terminal."""
    text = "" if value is None else str(value)
    kept = "\n" if lines else ""
    text = text if lines else " ".join(text.splitlines()).replace("\t", " ")
    return "".join(
        char
        if char in kept or unicodedata.category(char) not in _UNPRINTABLE
        else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


def show_json(value: Any) -> None:
    """One JSON document on stdout."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=not utf8) + "\n")


def show_record(fields: Mapping[str, object]) -> None:
    """Names and values, one per line; values that are None are left out."""
    filled = {name: value for name, value in fields.items() if value is not None}
    if not sys.stdout.isatty():
        for name, value in filled.items():
            sys.stdout.write(f"{name}\t{printable(value)}\n")
        return
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in filled.items():
        grid.add_row(name, Text(printable(value, lines=True)))
    console(sys.stdout).print(grid)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows under their headings on a terminal; bare rows with tabs elsewhere."""
    if not sys.stdout.isatty():
        for row in rows:
            sys.stdout.write("\t".join(printable(value) for value in row) + "\n")
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(value)) for value in row))
    console(sys.stdout).print(table)


def size_text(size: int) -> str:
    """Bytes for people: 1536 -> "1.5 KiB"."""
    amount = float(size)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{size} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def note(text: str) -> None:
    """A remark on stderr."""
    _remark(printable(text))


def warn(text: str) -> None:
    """One line on stderr that something will not work as perhaps meant."""
    _remark(("warning:", "bold yellow"), " ", printable(text))


def stop(text: str, code: int = FAILED) -> NoReturn:
    """Says in one line on stderr why nothing (more) was done, and ends the command."""
    _remark(("otarium:", "bold red"), " ", printable(text))
    raise typer.Exit(code)


def _remark(*parts: str | tuple[str, str]) -> None:
    from rich.text import Text

    console(sys.stderr).print(Text.assemble(*parts), soft_wrap=True)


@contextmanager
def failures(*expected: type[Exception]) -> Iterator[None]:
    """Turns `expected` and unusable files into one line and exit code 1."""
    caught: tuple[type[Exception], ...] = (OSError, *expected)
    try:
        yield
    except BrokenPipeError:
        raise  # whoever read our output has gone; typer ends the program quietly
    except caught as error:
        stop(str(error) or type(error).__name__)
