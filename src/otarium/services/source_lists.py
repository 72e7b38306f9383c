"""The lists of a source as its publisher has them right now: fetched and judged, nothing changed here."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from otarium.domain.delegation import Accepted, accept
from otarium.domain.errors import SourceExpired, SourceRefused, SourceUnreadable
from otarium.domain.packages import timestamp
from otarium.domain.sources import Source, same_origin
from otarium.services.ports import Catalog, Clock
from otarium.services.ports_sources import Fetched, FetchRequest, SourceFetcher, Vault


@dataclass(frozen=True, slots=True)
class Got:
    uri: str
    fetched: Fetched
    accepted: Accepted

    def is_new(self, source: Source) -> bool:
        """Whether the bytes are others than those that are served already."""
        file = self.accepted.file
        live = source.live(file.dialect)
        return live is None or live.vouched or live.sha256 != file.sha256


@dataclass(frozen=True, slots=True)
class Found:
    """What was good. `reached` are the URLs that gave a list, or said that theirs had not changed; `refusal`
    is why that is not all of them."""

    got: Sequence[Got]
    reached: Sequence[str]
    refusal: SourceRefused | None


class Lists:
    """Owns nothing; no transaction is open while something is fetched."""

    def __init__(self, catalog: Catalog, fetcher: SourceFetcher, vault: Vault, clock: Clock) -> None:
        self._catalog = catalog
        self._fetcher = fetcher
        self._vault = vault
        self._clock = clock

    def fetch(self, source: Source) -> Found:
        """Raises SourceRefused where nothing was good."""
        headers = self._headers(source)
        got: list[Got] = []
        reached: list[str] = []
        refusal: SourceRefused | None = None
        # The list whose packages are shown comes last: a live publisher may add some in between, and what
        # clients of /tuf are told of must be known here.
        for uri in filter(None, (source.fetching.tuf_uri, source.fetching.uri)):
            try:
                fetched = self._fetch_one(source, uri, headers)
                if fetched is not None:
                    got.append(Got(uri, fetched, self._judged(source, fetched)))
                reached.append(uri)
            except SourceRefused as refused:
                refusal = _of_one_list(refused, source, uri)
        if refusal is not None and not reached:
            raise refusal
        dialects = [one.accepted.file.dialect for one in got]
        if len(set(dialects)) != len(dialects):
            raise SourceUnreadable(f"Both lists of {source.name} are in the dialect of /{dialects[0]}.")
        if refusal is None and not any(one.is_new(source) for one in got):
            self._require_unexpired(source)
        return Found(got, reached, refusal)

    def _headers(self, source: Source) -> dict[str, str]:
        with self._catalog.read() as tx:
            sealed = tx.sources.headers(source.name)
        return json.loads(self._vault.open(f"headers:{source.name}", sealed)) if sealed else {}

    def _fetch_one(self, source: Source, uri: str, headers: dict[str, str]) -> Fetched | None:
        with self._catalog.read() as tx:
            etag, last_modified = tx.sources.validators(source.name, uri)
        fetching = source.fetching
        if source.published is None:
            etag = last_modified = None
        sent = headers if same_origin(uri, fetching.uri) else {}
        request = FetchRequest(uri, sent, fetching.insecure, fetching.redirects, etag, last_modified)
        return self._fetcher.fetch(request)

    def _judged(self, source: Source, fetched: Fetched) -> Accepted:
        # A source that was just removed and added again begins in the next second.
        now = max(self._clock.now(), source.added_at)
        modified_at = _modified_at(fetched.last_modified, now)
        return accept(fetched.raw, source.delegation, source.files, now, modified_at, source.replaced)

    def _require_unexpired(self, source: Source) -> None:
        expires = source.expires
        if expires is not None and expires <= self._clock.now():
            raise SourceExpired(f"{source.name} expired at {timestamp(expires)}, and there is nothing newer.")


def _of_one_list(refused: SourceRefused, source: Source, uri: str) -> SourceRefused:
    """Of two lists it is said which."""
    if source.fetching.tuf_uri is None:
        return refused
    which = "tufFetchUrl" if uri == source.fetching.tuf_uri else "fetchUrl"
    return type(refused)(f"{refused.message} This is about its {which}.", cause=refused.cause)


def _modified_at(last_modified: str | None, now: int) -> int:
    """What the publisher's server says; now where it says nothing of use."""
    try:
        return min(now, max(0, int(parsedate_to_datetime(last_modified or "").timestamp())))
    except (ValueError, TypeError, OverflowError):
        return now
