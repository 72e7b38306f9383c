"""How PostgreSQL is reached: over connections that end by themselves when nothing comes through any more.

Left to the system, a connection whose packets are dropped (a firewall that forgot it, a machine that lost its
power) waits for a quarter of an hour, and an idle one for two hours. What the operator's URL says wins.
"""

from sqlalchemy import URL, make_url

_SECONDS = 5
_QUERY = {
    "connect_timeout": str(_SECONDS),
    "tcp_user_timeout": str(_SECONDS * 1000),
    "keepalives_idle": "3",
    "keepalives_interval": "1",
    "keepalives_count": "3",
}


def watched(url: str, driver: str, options: str = "") -> URL:
    """`options` of the server, before those of the URL."""
    parsed = make_url(url)
    query = {**_QUERY, **parsed.query}
    if options:
        query["options"] = f"{options} {query.get('options', '')}"
    return parsed.set(drivername=driver, query=query)


def conninfo(url: str) -> str:
    """The URL as libpq reads it."""
    return watched(url, "postgresql").render_as_string(hide_password=False)
