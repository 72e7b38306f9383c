"""Sources on a terminal: states in colour, and what is insecure in red."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from otarium.cli.output import console, printable, show_json, show_record, show_table, warn

if TYPE_CHECKING:
    from otarium.domain.sources import Source
    from otarium.services.sources import Shown

_STYLES = {
    "fresh": "green",
    "expiring": "yellow",
    "expired": "bold red",
    "refused": "bold red",
    "disabled": "dim",
}
_COLUMNS = ("name", "state", "expires", "fetched", "dialects", "url")


def table(sources: Sequence["Source"], now: int, as_json: bool) -> None:
    from otarium.services.source_documents import source_document
    from otarium.services.sources import Shown

    documents = [source_document(Shown(source), now) for source in sources]
    if as_json:
        show_json(documents)
    elif not sys.stdout.isatty():
        show_table(_COLUMNS, map(_row, documents))
    else:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        grid = Table(*_COLUMNS, box=box.SIMPLE_HEAD, pad_edge=False)
        for document in documents:
            name, state, *others, url = _row(document)
            texts = [Text(printable(value)) for value in others]
            style = "bold red" if document["insecure"] else ""
            grid.add_row(
                Text(name), Text(state, _STYLES.get(state, "red")), *texts, Text(printable(url), style)
            )
        console(sys.stdout).print(grid)
    if not as_json:
        for document in documents:
            _tell_problem(document)


def _row(document: dict[str, Any]) -> list[str]:
    dialects = " ".join(
        file["dialect"] + (" (vouched)" if file["vouched"] else "")
        for file in document["files"]
        if file["live"]
    )
    row = (document["name"], document["state"], document["expires"], document["lastFetched"], dialects)
    return [str(one or "") for one in (*row, document["fetchUrl"])]


def one(shown: "Shown", now: int, as_json: bool) -> None:
    from otarium.services.source_documents import source_document

    document = source_document(shown, now)
    if as_json:
        show_json(document)
        return
    lists = ("paths", "keyids", "headers")
    plain = {
        name: document[name] for name in document if name not in (*lists, "files", "leftOut", "warnings")
    }
    plain |= {name: ", ".join(document[name]) or None for name in lists}
    plain["problem"] = None
    for file in document["files"]:
        more = ", vouched for by this repository" if file["vouched"] else ""
        more += "" if file["live"] else ", no client is sent to it"
        plain[f"{file['dialect']} list"] = f"version {file['version']}, {file['length']} bytes{more}"
    show_record(plain)
    for left in document["leftOut"][:20]:
        warn(f"{left['target']} is not listed: {left['reason']}")
    for text in document["warnings"]:
        warn(text)
    if document["insecure"]:
        warn("this source may use plain http and private addresses")
    _tell_problem(document)


def _tell_problem(document: dict[str, Any]) -> None:
    problem = document["problem"]
    if problem:
        warn(f"{document['name']}: {problem['message']} (since {problem['since']})")
