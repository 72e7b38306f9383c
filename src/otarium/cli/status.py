"""`otarium status`: one screen on how a repository fares."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from otarium.cli.opening import AsJson, DataDir, MasterKeyFile, opened, told
from otarium.cli.output import console, printable, show_json, size_text

if TYPE_CHECKING:
    from otarium.running import Job
    from otarium.services.status import Copy, Status

_UNITS = (("days", 86_400), ("hours", 3600), ("minutes", 60), ("seconds", 1))
_STATES = {"fresh": "green", "expiring": "yellow", "disabled": "dim"}

Line = tuple[str, str, str]
"""Name, text, style."""


def status(data_dir: DataDir = None, master_key_file: MasterKeyFile = None, as_json: AsJson = False) -> None:
    """Show how the repository fares, and what to do about it; exit 1 when something is wrong.

    Example: otarium status --data-dir /var/lib/otarium
    """
    with told():
        from otarium import running
        from otarium.bootstrap import offload
        from otarium.services.status import look

        repository = opened(data_dir, master_key_file)
        _, metadata = repository.publisher()
        metadata.refresh()
        settings = repository.settings
        now, reserve = repository.clock.now(), settings.uploads.reserve_bytes
        limits, copy = repository.shelving().limits, offload(repository, metadata)
        found = look(repository.inventory(), metadata, now, reserve, limits, copy)
        server = running.served_by(settings.storage.data_dir)
        jobs = running.jobs(settings.storage.run_dir) if server else {}
    if as_json:
        show_json(_document(found, server, jobs))
    else:
        _show(found, server, jobs)
    raise typer.Exit(1 if found.findings else 0)


def _show(found: "Status", server: str | None, jobs: "dict[str, Job]") -> None:
    lines = list(_lines(found, server, jobs))
    if not sys.stdout.isatty():
        for name, text, _ in lines:
            sys.stdout.write(f"{name}\t{printable(text)}\n")
        return
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text, style in lines:
        grid.add_row(printable(name), Text(printable(text), style))
    console(sys.stdout).print(grid)


def _lines(found: "Status", server: str | None, jobs: "dict[str, Job]") -> Iterator[Line]:
    """The same words on a terminal and elsewhere."""
    yield "server", server or "not running on this machine", "" if server else "yellow"
    yield "release", str(found.release), ""
    for one in found.expiry:
        style = "red" if one.expires <= found.at else "yellow" if one.is_late else "green"
        yield one.role, _until(one.expires, found.at), style
    contents = found.contents
    own, others = contents.packages.get("targets", 0), sum(contents.packages.values())
    yield "packages", f"{own} own, {others - own} of other publishers", ""
    if contents.shelves:
        yield "shelves", f"{contents.shelves}, {contents.shelves_due} to be signed again", ""
    free = "" if found.free_bytes is None else f"; {size_text(found.free_bytes)} free"
    yield "storage", f"{contents.blobs} blobs, {size_text(contents.blob_bytes)}{free}", ""
    for source in found.sources:
        state = source.state(found.at).value
        expires = f", {_until(source.expires, found.at)}" if source.expires is not None else ""
        yield f"source {source.name}", f"{state}{expires}", _STATES.get(state, "red")
    last = found.last_backup
    yield "backup", "none by `otarium backup`" if last is None else _ago(last, found.at), ""
    if found.copy:
        yield "offload", _copied(found.copy), "yellow" if found.copy.behind or found.copy.problem else ""
    for name, job in sorted(jobs.items()):
        yield f"job {name}", _job(job, found.at), "yellow" if job.failures else ""
    for finding in found.findings:
        yield "problem", finding.problem, "bold red"
        yield "  next", finding.advice, ""
    if not found.findings:
        yield "problems", "none", "green"


def _until(expires: int, now: int) -> str:
    from otarium.domain.packages import timestamp

    left = expires - now
    return f"until {timestamp(expires)} ({'in ' + _span(left) if left > 0 else _span(-left) + ' ago'})"


def _ago(at: int, now: int) -> str:
    from otarium.domain.packages import timestamp

    return f"{timestamp(at)} ({_span(now - at)} ago)"


def _span(seconds: int) -> str:
    for name, size in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds // size} {name}"
    return f"{max(0, seconds)} s"


def _copied(copy: "Copy") -> str:
    if copy.problem:
        return "not kept"
    behind = f", behind for {_span(copy.behind)}" if copy.behind else ""
    return f"release {copy.release}{behind}"


def _job(job: "Job", now: int) -> str:
    ended = "never ended well" if job.succeeded is None else f"{_span(now - job.succeeded)} ago"
    return ended + (f"; {job.failures} failures since the start" if job.failures else "")


def _document(found: "Status", server: str | None, jobs: "dict[str, Job]") -> dict[str, Any]:
    from otarium.domain.packages import timestamp

    def when(at: int | None) -> str | None:
        return None if at is None else timestamp(at)

    return {
        "server": server,
        "release": found.release,
        "expires": {one.role: when(one.expires) for one in found.expiry},
        "packages": dict(found.contents.packages),
        "shelves": found.contents.shelves,
        "blobs": found.contents.blobs,
        "blobBytes": found.contents.blob_bytes,
        "freeBytes": found.free_bytes,
        "sources": {
            source.name: {"state": source.state(found.at).value, "expires": when(source.expires)}
            for source in found.sources
        },
        "lastBackup": when(found.last_backup),
        "offload": found.copy
        and {
            "release": found.copy.release,
            "behindSeconds": found.copy.behind,
            "problem": found.copy.problem,
        },
        "jobs": {
            name: {"succeeded": when(job.succeeded), "failures": job.failures} for name, job in jobs.items()
        },
        "problems": [{"problem": one.problem, "next": one.advice} for one in found.findings],
    }
