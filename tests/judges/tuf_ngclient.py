"""The judge python-tuf: `follow` refreshes like one run of a device and downloads what is asked for."""

import urllib.request
from collections.abc import Iterable
from pathlib import Path

from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.ngclient import Updater

from judges.tuf_verdict import Found, TufRefused, Verdict


def first_root(tuf_url: str) -> bytes:
    """Trust on first use; tests that rotate roots keep this and go on from it."""
    with urllib.request.urlopen(f"{tuf_url}/1.root.json") as answer:
        return answer.read()


def follow(tuf_url: str, root: bytes, state: Path, names: Iterable[str] = ()) -> Verdict:
    """`state`: empty for a fresh client, the directory of an earlier run for one that comes back."""
    metadata, downloads = state / "metadata", state / "downloads"
    for directory in (metadata, downloads):
        directory.mkdir(parents=True, exist_ok=True)
    try:
        bootstrap = None if (metadata / "root.json").exists() else root
        updater = Updater(str(metadata), tuf_url, str(downloads), f"{tuf_url}/targets/", bootstrap=bootstrap)
        updater.refresh()
        found = {name: _fetch(updater, name, downloads) for name in names}
    except (RepositoryError, DownloadError, ValueError) as error:
        raise TufRefused(f"{type(error).__name__}: {error}") from error
    trusted = updater._trusted_set
    roles = {role: getattr(trusted, role) for role in ("root", "timestamp", "snapshot", "targets")}
    versions = {role: signed.version for role, signed in roles.items()}
    return Verdict(versions, {name: target for name, target in found.items() if target})


def _fetch(updater: Updater, name: str, downloads: Path) -> Found | None:
    info = updater.get_targetinfo(name)
    if info is None:
        return None
    output = downloads / "target"
    updater.download_target(info, str(output))
    return Found(output.read_bytes(), info.length, info.hashes, info.custom)
