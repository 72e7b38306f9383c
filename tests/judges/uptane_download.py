"""A target's bytes: fetched, resumed after a broken transfer, and held against length and hashes."""

import re

from judges.uptane_errors import DownloadFailed, Refused, TooLarge
from judges.uptane_roles import check_hashes
from judges.uptane_transport import Fetch, Response

ATTEMPTS = 3


def download(fetch: Fetch, url: str, length: int, hashes: dict[str, str], have: bytes) -> bytes:
    for _ in range(ATTEMPTS):
        if len(have) >= length:
            break
        answer = _get(fetch, url, length, have)
        if answer.status >= 500:
            continue
        have = _joined(have, answer, url)
        if len(have) > length:
            raise DownloadFailed(f"{url}: more than {length} bytes")
        if not answer.broken:
            break
    if len(have) != length:
        raise DownloadFailed(f"{url}: {len(have)} bytes of {length}")
    try:
        check_hashes(have, hashes, url, required=True)
    except Refused as error:
        raise DownloadFailed(str(error)) from None
    return have


def _get(fetch: Fetch, url: str, length: int, have: bytes) -> Response:
    try:
        return fetch(url, {"Range": f"bytes={len(have)}-"} if have else {}, length)
    except TooLarge as error:
        raise DownloadFailed(str(error)) from None


def _joined(have: bytes, answer: Response, url: str) -> bytes:
    """200 starts again from the first byte; 206 must go on where the device stopped."""
    if answer.status == 200:
        return answer.body
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", answer.headers.get("content-range", ""))
    if answer.status != 206 or not found or int(found[1]) != len(have):
        raise DownloadFailed(f"{url}: {answer.status} {answer.headers.get('content-range')}")
    return have + answer.body
