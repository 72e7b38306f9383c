"""The one place where a request path is taken apart, before the framework sees it.

Package ids hold slashes, raw or as %2F, and must be decoded exactly once (`%252F` is not a slash), so the
id is cut from the raw path and handed to the framework, still encoded, as one segment.
"""

import re
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from otarium.domain.errors import Invalid
from otarium.domain.names import PackageId
from otarium.web.errors import UriTooLong
from otarium.web.limits import PATH_BYTES

API_BASES = ("/api/v2beta", "/api/v2")
_LISTS = frozenset(f"{base}/{name}" for base in API_BASES for name in ("packages", "packages_external"))
_PACKAGE = re.compile(rf"(?P<head>(?:{'|'.join(API_BASES)})/packages/)(?P<id>.+)")
DEVICE_PATHS = ("/repo/", "/tuf/")
_DEVICE = re.compile(r"/+(repo|tuf)/+")
_SLASHES = re.compile(r"//+")


def enter(scope: dict[str, Any]) -> None:
    """Rewrite the scope's path for routing. Raises Invalid or UriTooLong."""
    raw = scope["raw_path"]
    path = path_text(raw)
    if len(path) + len(scope["query_string"]) > PATH_BYTES:
        raise UriTooLong(f"Path and query have more than {PATH_BYTES} bytes; ask for less at once.")
    if path in _LISTS or (path.startswith(DEVICE_PATHS) and "//" not in path):
        return
    if _DEVICE.match(path):
        scope["path"] = _DEVICE.sub(r"/\1/", scope["path"])
        return
    package = _PACKAGE.fullmatch(_collapse_head(path))
    if package:
        scope["path"] = package["head"] + quote(package["id"], safe="")
    else:
        decoded = decode_path(_SLASHES.sub("/", path))
        scope["path"] = decoded.rstrip("/") or "/"


def _collapse_head(path: str) -> str:
    """`//` before the package id is one slash (clients append paths to a host with a trailing slash)."""
    head, separator, tail = path.partition("/packages/")
    return _SLASHES.sub("/", head).rstrip("/") + separator + tail.lstrip("/")


def package_id_of(segment: str) -> tuple[PackageId, ...]:
    """The ids that a path may mean: as it stands, then with `+` as a space (PowerShell). Raises Invalid."""
    raw = decode_path(segment)
    spellings = dict.fromkeys((raw, raw.replace("+", "%20")))
    return tuple(PackageId.lookup(decode_path(one)) for one in spellings)


def path_text(raw: bytes | str) -> str:
    """A raw path, still percent-encoded; some clients send UTF-8 as it is. Raises Invalid."""
    try:
        return raw.decode() if isinstance(raw, bytes) else raw
    except UnicodeDecodeError:
        raise Invalid("The path is neither percent-encoded nor UTF-8.") from None


def decode_path(raw: str) -> str:
    """Percent-decode a raw path part once and strictly. Raises Invalid."""
    if re.search(r"%(?![0-9A-Fa-f]{2})", raw):
        raise Invalid("The path has a % that is not followed by two hexadecimal digits; encode it as %25.")
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise Invalid("The path is not percent-encoded UTF-8.") from None
