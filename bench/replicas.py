"""How long after an upload's answer the other replica serves its release: two over PostgreSQL and an object
store, each publishing in turn. Then once more without notifications: the other one's line is cut before each.
"""

import json
import time
from collections.abc import Callable
from itertools import count
from statistics import median

import psycopg

from bench import quiet
from bench.clients import Client
from bench.figures import Figure
from bench.ground import Ground
from harness import Server, http
from replicas import running_replicas, shared_settings

UPLOADS = 40
PATIENCE = 10.0
WITHIN_MS = 1000
_VERSIONS = count(1)
_CUT = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
AND (query LIKE 'LISTEN %' OR query LIKE 'SELECT revision, %FROM repository')"""
"""Whatever a listening connection did last."""


def run(ground: Ground) -> list[Figure]:
    with shared_settings() as shared, running_replicas(ground.directory, 2, shared) as servers:
        quiet.wait(PATIENCE)
        told = _lags(servers, lambda: None)
        with psycopg.connect(shared["OTARIUM_DATABASE_URL"], autocommit=True) as operator:
            untold = _lags(servers, lambda: operator.execute(_CUT))
    return [
        *_figures("other replica", told),
        *_figures("other replica, its line to the database cut before", untold),
    ]


def _lags(servers: list[Server], before: Callable[[], object]) -> list[float]:
    lags = []
    for number in range(UPLOADS):
        publisher, reader = servers if number % 2 else servers[::-1]
        before()
        with Client(publisher) as client:
            client.upload("app", str(next(_VERSIONS)), b"%d" % number)
        answered = time.perf_counter()
        published = _version(publisher)
        while _version(reader) < published:
            if time.perf_counter() - answered > 60:
                raise RuntimeError("the other replica does not follow")
            time.sleep(0.001)
        lags.append(time.perf_counter() - answered)
    return lags


def _version(server: Server) -> int:
    timestamp = http(server, "GET", "/repo/timestamp.json", token=None).body
    return int(json.loads(timestamp)["signed"]["version"])


def _figures(where: str, lags: list[float]) -> list[Figure]:
    title = f"from an upload's answer to the {where}"
    return [
        Figure(f"{title}, median", median(lags) * 1000, "ms"),
        Figure(f"{title}, longest", max(lags) * 1000, "ms", at_most=WITHIN_MS),
    ]
