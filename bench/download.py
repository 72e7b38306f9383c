"""Ranges of a large package: sent by Otarium, and handed to nginx, beside nginx with a plain file.

One worker each, the same load, taking turns. Where they are handed over nginx's own sendfile sends them; what
is missing to nginx alone is asking Otarium for the name, once for each range.
"""

from statistics import median

from bench import quiet, wrk
from bench.figures import Figure
from bench.ground import Ground, require_tools
from harness import Server, http, upload
from nginx import handing_over, nginx_in_front

ROUNDS = 5
SECONDS = 3
PATIENCE = 10.0
CONNECTIONS = 8
MIB = 1024 * 1024
SIZE = 64 * MIB
RANGES = (1, 16)


def run(ground: Ground) -> list[Figure]:
    require_tools("nginx", "wrk")
    figures = []
    with ground.server("download") as sending, ground.server("handing", OTARIUM_DOWNLOADS="nginx") as handing:
        for server in (sending, handing):
            upload(server, "large", "1", bytes(SIZE))
        files = ground.directory / "files"
        files.mkdir()
        with nginx_in_front(handing, ground.directory / "nginx", handing_over(handing, files)) as front:
            # nginx's own file is the same one, by a name that asks nobody.
            plain = http(handing, "GET", "/repo/targets/large-1", token=None).headers["x-accel-redirect"]
            (files / "plain").symlink_to(handing.data_dir.resolve() / "blobs" / "sha256")
            for mebibytes in RANGES:
                figures += _beside(sending, front, plain, mebibytes)
    return figures


def _beside(sending: Server, front: Server, plain: str, mebibytes: int) -> list[Figure]:
    urls = {
        "sent by Otarium": f"{sending.url}/repo/targets/large-1",
        "handed to nginx": f"{front.url}/repo/targets/large-1",
        "nginx alone": f"{front.url}/plain/{plain.removeprefix('/otarium-blobs/')}",
    }
    rates: dict[str, list[float]] = {name: [] for name in urls}
    for _ in range(ROUNDS):
        for name, url in urls.items():
            quiet.wait(PATIENCE)
            header = f"Range: bytes=0-{mebibytes * MIB - 1}"
            load = wrk.load(url, headers=(header,), connections=CONNECTIONS, seconds=SECONDS)
            rates[name].append(load.rate * mebibytes)
    rate = {name: median(values) for name, values in rates.items()}
    title = f"ranges of {mebibytes} MiB"
    ratios = {name: rate[name] / rate["nginx alone"] for name in ("sent by Otarium", "handed to nginx")}
    return [
        *(Figure(f"{title}, {name}", value, "MiB/s") for name, value in rate.items()),
        Figure(f"{title}, sent by Otarium, to nginx", ratios["sent by Otarium"], "x"),
        Figure(f"{title}, handed to nginx, to nginx", ratios["handed to nginx"], "x"),
    ]
