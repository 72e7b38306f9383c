"""Sources as JSON documents: published bundles in and out, and how a source is shown to its operator.

The API and the command line take and show the same documents.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from otarium.domain.delegation import SourceFile
from otarium.domain.errors import Invalid
from otarium.domain.feed import FEED_PATH
from otarium.domain.names import SourceName
from otarium.domain.packages import timestamp
from otarium.domain.patterns import parse
from otarium.domain.sources import Fetching, Source, parse_delegation
from otarium.services.feed import Feed
from otarium.services.metadata import Metadata
from otarium.services.sources import NewSource, Shown

_ABSENT = object()
ANY_PATHS = tuple("/".join(["*"] * depth) for depth in range(1, 9))
"""Every name: TUF 1.0 clients let no `*` cross a slash."""


def own_bundle(
    metadata: Metadata, feed: Feed, base_url: str, name: SourceName, paths: Sequence[str]
) -> dict[str, Any]:
    """Raises Conflict where the repository is too large for a source."""
    feed.require_room()
    root = json.loads(metadata.current.root.tuf.raw)["signed"]
    role = root["roles"]["targets"]
    return {
        "keys": [root["keys"][key_id] for key_id in role["keyids"]],
        "delegationMetadata": {
            "name": str(name),
            "keyids": role["keyids"],
            "paths": [parse(path) for path in paths or ANY_PATHS],
            "threshold": role["threshold"],
            "terminating": False,
        },
        "fetchUrl": f"{base_url}/repo/{FEED_PATH}",
        "tufFetchUrl": f"{base_url}/tuf/{FEED_PATH}",
        "targetsUrl": f"{base_url}/repo/targets/",
        "friendlyName": f"Packages of {base_url.partition('://')[2]}"[:80],
    }


MEMBER_OF = {
    "uri": "fetchUrl",
    "tuf_uri": "tufFetchUrl",
    "targets_uri": "targetsUrl",
    "friendly_name": "friendlyName",
    "interval": "interval",
    "insecure": "insecure",
    "redirects": "followRedirects",
    "vouch": "vouch",
    "enabled": "enabled",
}
"""How documents name the members of Fetching."""
_KINDS: dict[str, type | tuple[type, ...]] = {
    "tuf_uri": (str, type(None)),
    "targets_uri": (str, type(None)),
    "friendly_name": (str, type(None)),
    "interval": int,
    "insecure": bool,
    "redirects": bool,
    "vouch": bool,
}


def new_source(document: Mapping[str, Any]) -> NewSource:
    """A published bundle `add-<name>.json`, with what the operator adds to it. Raises Invalid."""
    url = document.get("fetchUrl")
    url = url.get("uri") if isinstance(url, dict) else url
    if not isinstance(url, str):
        raise Invalid("fetchUrl is missing: give the URL of the signed list.")
    fields: dict[str, Any] = {}
    for name, kind in _KINDS.items():
        member = MEMBER_OF[name]
        value = document.get(member, _ABSENT)
        if value is _ABSENT:
            continue
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise Invalid(f"{member} {value!a:.40} has the wrong type.")
        fields[name] = value or "" if name == "friendly_name" else value
    headers = document.get("headers", {})
    if not isinstance(headers, dict):
        raise Invalid("headers must be an object of names and values.")
    delegation = parse_delegation(document.get("keys"), document.get("delegationMetadata"))
    accept_overlap = document.get("acceptOverlap") is True
    return NewSource(delegation, Fetching(url, **fields), headers, accept_overlap)


def source_document(shown: Shown, now: int) -> dict[str, Any]:
    """A source and how it fares; of its request headers the names alone."""
    source, fetching, problem = shown.source, shown.source.fetching, shown.source.problem
    return {
        "name": str(source.name),
        "state": source.state(now).value,
        "problem": problem
        and {"code": problem.code, "message": problem.message, "since": timestamp(problem.since)},
        "friendlyName": fetching.friendly_name or None,
        "fetchUrl": fetching.uri,
        "tufFetchUrl": fetching.tuf_uri,
        "targetsUrl": fetching.targets_uri,
        "paths": list(source.delegation.paths),
        "keyids": list(source.delegation.keys),
        "threshold": source.delegation.threshold,
        "enabled": fetching.enabled,
        "insecure": fetching.insecure,
        "followRedirects": fetching.redirects,
        "vouch": fetching.vouch,
        "interval": fetching.interval,
        "headers": list(source.header_names),
        "lastFetched": _when(source.last_fetched),
        "nextRefresh": timestamp(source.next_refresh),
        "expires": _when(source.expires),
        "files": [_file_document(file, source) for file in source.files.values()],
        "leftOut": [{"target": one.target, "reason": one.reason} for one in shown.left_out],
        "warnings": source.warnings,
    }


def _file_document(file: SourceFile, source: Source) -> dict[str, Any]:
    return {
        "dialect": file.dialect.name.lower(),
        "version": file.version,
        "sha256": file.sha256,
        "length": file.length,
        "expires": timestamp(file.expires),
        "vouched": file.vouched,
        "live": source.live(file.dialect) is not None,
    }


def info_document(source: Source) -> dict[str, str | None]:
    """What the documented client calls DelegationInfo."""
    return {
        "lastFetched": _when(source.last_fetched),
        "remoteUri": source.fetching.uri,
        "friendlyName": source.fetching.friendly_name or None,
        "expires": _when(source.expires),
    }


def _when(seconds: int | None) -> str | None:
    return None if seconds is None else timestamp(seconds)
