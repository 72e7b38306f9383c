"""`otarium source`: whose packages this repository carries beside its own."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otarium.cli import publishing, sources_shown
from otarium.cli.opening import AsJson, DataDir, MasterKeyFile, opened, told
from otarium.cli.output import warn
from otarium.cli.source_options import (
    Every,
    FriendlyName,
    Header,
    Insecure,
    Keys,
    Name,
    Paths,
    Redirects,
    TargetsUrl,
    TufUrl,
    Url,
    Vouch,
    edits_of,
    headers_of,
    made_bundle,
    read_bundle,
    renamed,
)
from otarium.domain.names import SourceName

if TYPE_CHECKING:
    from otarium.bootstrap import Repository
    from otarium.domain.access import Actor
    from otarium.services.refreshing import Refreshing
    from otarium.services.sources import Sources


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="External package sources: other publishers' packages.", no_args_is_help=True)
    named: dict[str, Callable[..., None]] = {
        "add": source_add,
        "list": source_list,
        "show": source_show,
        "edit": source_edit,
        "refresh": source_refresh,
        "disable": source_disable,
        "enable": source_enable,
        "remove": source_remove,
        "order": source_order,
        "bundle": source_bundle,
    }
    for name, command in named.items():
        group.command(name)(command)
    publishing.register(group)
    app.add_typer(group, name="source")


@dataclass(frozen=True, slots=True)
class _Open:
    """The services that work on sources, with the publisher running."""

    actor: "Actor"
    sources: "Sources"
    refreshing: "Refreshing"
    now: int

    def show(self, name: str, as_json: bool) -> None:
        sources_shown.one(self.sources.show(self.actor, SourceName.lookup(name)), self.now, as_json)


@contextmanager
def _administered(data_dir: Path | None, master_key_file: Path | None) -> Iterator[_Open]:
    """Works while a server runs on the same data directory: its workers notice at once."""
    with told():
        # What goes wrong is told by the command; without a handler the log would tell it once more.
        logging.getLogger("otarium").addHandler(logging.NullHandler())
        from otarium.domain.access import DEFAULT_SCOPES, Actor

        repository = opened(data_dir, master_key_file)
        publisher, metadata = repository.publisher()
        metadata.refresh()
        publisher.start()
        sources, refreshing = repository.sources(publisher)
        try:
            yield _Open(Actor("operator", DEFAULT_SCOPES), sources, refreshing, repository.clock.now())
        finally:
            publisher.stop()


def source_add(
    bundle: Annotated[
        Path | None, typer.Argument(help="The publisher's bundle, add-NAME.json; - is stdin")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Its name here [default: the bundle's]")] = None,
    key: Keys = None,
    path: Paths = None,
    threshold: Annotated[int | None, typer.Option(help="How many of its keys must sign")] = None,
    url: Url = None,
    tuf_url: TufUrl = None,
    targets_url: TargetsUrl = None,
    friendly_name: FriendlyName = None,
    every: Every = None,
    header: Header = None,
    insecure: Insecure = None,
    redirects: Redirects = None,
    vouch: Vouch = None,
    yes: Annotated[
        bool, typer.Option("--accept-overlap", help="Yes, it may list packages under names of ours")
    ] = False,
    data_dir: DataDir = None,
    master_key_file: MasterKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Trust a publisher for the paths of its bundle, and fetch its list.

    Example: otarium source add add-tdx-nightly.json

    Without a bundle: otarium source add --name acme --key acme.pem --path 'acme-*' --url https://...
    """
    with _administered(data_dir, master_key_file) as opened_:
        from otarium.domain.errors import SourceRefused
        from otarium.services.source_documents import MEMBER_OF, new_source

        if bundle and (key or path or threshold is not None):
            raise typer.BadParameter("a bundle says its own keys, paths and threshold")
        document = renamed(read_bundle(bundle), name) if bundle else made_bundle(name, key, path, threshold)
        edits = edits_of(url, tuf_url, targets_url, friendly_name, every, insecure, redirects, vouch)
        document |= {MEMBER_OF[name]: value for name, value in edits.items()}
        document |= {"headers": headers_of(header)} if header else {}
        document |= {"acceptOverlap": True} if yes else {}
        source = opened_.sources.add(opened_.actor, new_source(document)).result()
        failed = None
        try:
            opened_.refreshing.refresh(opened_.actor, source.name).result()
        except SourceRefused as refusal:
            failed = refusal
        opened_.show(source.name, as_json)
        if failed is not None:
            raise failed


def source_list(
    data_dir: DataDir = None, master_key_file: MasterKeyFile = None, as_json: AsJson = False
) -> None:
    """List sources in the order in which devices search them, with their state."""
    with _administered(data_dir, master_key_file) as opened_:
        sources_shown.table(opened_.sources.every(opened_.actor), opened_.now, as_json)


def source_show(
    name: Name, data_dir: DataDir = None, master_key_file: MasterKeyFile = None, as_json: AsJson = False
) -> None:
    """Show one source: whom it trusts, how it is fetched, how it fares."""
    with _administered(data_dir, master_key_file) as opened_:
        opened_.show(name, as_json)


def source_edit(
    name: Name,
    url: Url = None,
    tuf_url: TufUrl = None,
    targets_url: TargetsUrl = None,
    friendly_name: FriendlyName = None,
    every: Every = None,
    header: Header = None,
    clear_headers: Annotated[bool, typer.Option("--clear-headers", help="Send no headers any more")] = False,
    insecure: Insecure = None,
    redirects: Redirects = None,
    vouch: Vouch = None,
    data_dir: DataDir = None,
    master_key_file: MasterKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Change how a source is fetched and shown. Whom it trusts never changes: add the new bundle instead."""
    with _administered(data_dir, master_key_file) as opened_:
        edits = edits_of(url, tuf_url, targets_url, friendly_name, every, insecure, redirects, vouch)
        headers = headers_of(header) if header or clear_headers else None
        _edit(opened_, name, edits, headers)
        opened_.show(name, as_json)


def source_refresh(
    name: Name, data_dir: DataDir = None, master_key_file: MasterKeyFile = None, as_json: AsJson = False
) -> None:
    """Fetch a source now; exit 1 with the reason when its list is not taken over."""
    with _administered(data_dir, master_key_file) as opened_:
        opened_.refreshing.refresh(opened_.actor, SourceName.lookup(name)).result()
        opened_.show(name, as_json)


def source_disable(name: Name, data_dir: DataDir = None, master_key_file: MasterKeyFile = None) -> None:
    """Stop sending devices to a source, and stop fetching it, without forgetting it."""
    with _administered(data_dir, master_key_file) as opened_:
        _edit(opened_, name, {"enabled": False})


def source_enable(name: Name, data_dir: DataDir = None, master_key_file: MasterKeyFile = None) -> None:
    """Undo `source disable`."""
    with _administered(data_dir, master_key_file) as opened_:
        _edit(opened_, name, {"enabled": True})


def source_remove(name: Name, data_dir: DataDir = None, master_key_file: MasterKeyFile = None) -> None:
    """Stop trusting a publisher. Versions seen are kept: under this name it can only come back above them."""
    with _administered(data_dir, master_key_file) as opened_:
        opened_.sources.remove(opened_.actor, SourceName.lookup(name)).result()


def source_order(
    names: Annotated[list[str], typer.Argument(help="All sources, first searched first")],
    data_dir: DataDir = None,
    master_key_file: MasterKeyFile = None,
) -> None:
    """Set the order in which devices search sources; packages of our own always come first."""
    with _administered(data_dir, master_key_file) as opened_:
        opened_.sources.reorder(opened_.actor, [SourceName.lookup(name) for name in names]).result()


def source_bundle(
    name: Annotated[str, typer.Option("--name", help="What others call this repository")] = "otarium",
    path: Annotated[
        list[str] | None, typer.Option("--path", help="Names it may publish there; repeatable", metavar="P")
    ] = None,
    public_url: Annotated[
        str | None, typer.Option(help="What others call this server [env OTARIUM_PUBLIC_URL]", metavar="URL")
    ] = None,
    data_dir: DataDir = None,
    master_key_file: MasterKeyFile = None,
) -> None:
    """Print the bundle by which another repository trusts this one's own packages, live."""
    with told():
        from otarium.services.feed import Feed
        from otarium.services.source_documents import own_bundle

        repository = opened(data_dir, master_key_file)
        _, metadata = repository.publisher()
        metadata.refresh()
        base_url = public_url.rstrip("/") if public_url else _served_at(repository)
        if not base_url.startswith("https://"):
            warn(f"others will look for {base_url}: give --public-url with what they call this server")
        feed = Feed(repository.catalog, metadata)
        document = own_bundle(metadata, feed, base_url, SourceName.parse(name), path or ())
    typer.echo(json.dumps(document, indent=2))


def _served_at(repository: "Repository") -> str:
    """The address of the server that runs on the data directory; what the settings say where none does."""
    try:
        held = (repository.settings.storage.data_dir / "serve.lock").read_text()
    except OSError:
        held = ""
    return held.partition(", serving ")[2].strip() or repository.settings.http.base_url


def _edit(opened_: _Open, name: str, edits: dict[str, Any], headers: dict[str, str] | None = None) -> None:
    opened_.sources.edit(opened_.actor, SourceName.lookup(name), edits, headers).result()
