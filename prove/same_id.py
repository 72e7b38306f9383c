"""64 clients at once upload other bytes under the same id: exactly one of them gets 200.

The others get 409, and what is served is what the winner sent, under its name and under its hash.
"""

import random
import threading

from harness import Answer, Server, api, http, package_path, running_server
from prove.calls import body_of, download, post_package, sha256
from prove.claims import Setup, claim

ROUNDS = 20
CLIENTS = 64


def prove(setup: Setup) -> list[str]:
    dice, rounds = random.Random(setup.seed), setup.rounds or ROUNDS
    with running_server(setup.directory / "same-id", workers=2) as server:
        for number in range(rounds):
            _race(server, f"race-{number}", dice.choice((1024, 65_536, 524_288)))
        verified = server.run("verify", check=False)
        claim(verified.returncode == 0, f"otarium verify: {verified.stdout} {verified.stderr}")
    return [f"{rounds} rounds of {CLIENTS} clients: 1 x 200 and {CLIENTS - 1} x 409 in each"]


def _race(server: Server, name: str, length: int) -> None:
    bodies = [body_of(f"{name} {number}", length) for number in range(CLIENTS)]
    answers = _all_at_once(server, name, bodies)
    won = [number for number, answer in enumerate(answers) if answer.status == 200]
    lost = [answer for answer in answers if answer.status == 409]
    statuses = sorted(answer.status for answer in answers)
    claim((len(won), len(lost)) == (1, CLIENTS - 1), f"{name}: {statuses}")
    codes = {answer.json["code"] for answer in lost}
    claim(codes == {"conflicting_entity"}, f"{name}: {codes}")
    _require_served(server, name, bodies[won[0]])


def _all_at_once(server: Server, name: str, bodies: list[bytes]) -> list[Answer]:
    answers: dict[int, Answer] = {}
    gate = threading.Barrier(len(bodies))

    def run(number: int) -> None:
        gate.wait()
        answers[number] = post_package(server, name, "1", bodies[number])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(bodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    claim(len(answers) == len(bodies), f"{name}: {len(bodies) - len(answers)} clients got no answer")
    return [answers[number] for number in range(len(bodies))]


def _require_served(server: Server, name: str, body: bytes) -> None:
    package = api(server, "GET", package_path(f"{name}-1")).json
    digest = sha256(body)
    claim(package["hashes"]["sha256"] == digest, f"{name}: the loser's hash is listed")
    claim(download(server, f"{name}-1").body == body, f"{name}: the loser's bytes are served")
    by_hash = http(server, "GET", f"/tuf/targets/{digest}.{name}-1", token=None)
    claim(by_hash.body == body, f"{name}: other bytes are served under the winner's hash")
