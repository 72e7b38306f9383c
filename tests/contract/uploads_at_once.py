"""As many uploads at once as it is told, in a process of their own; says by how many bytes its memory grew.

python uploads_at_once.py STORE_URL ENDPOINT DIRECTORY UPLOADS BYTES
"""

import sys
import threading
from pathlib import Path

from otarium.adapters.blobs_objects import ObjectBlobStore
from otarium.services.ports_blobs import StagedBlob

PIECE = bytes(512 * 1024)


def resident(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(name)


def main(url: str, endpoint: str, directory: str, uploads: int, size: int) -> None:
    keys = {"access_key_id": "a", "secret_access_key": "b", "region": "us-east-1"}
    options = {"endpoint": endpoint, "client_options": {"allow_http": True}, **keys}
    store = ObjectBlobStore(url, directory=Path(directory), **options)
    before, arrived, failures = resident("VmRSS"), threading.Barrier(uploads), list[BaseException]()

    def send(number: int, staged: StagedBlob) -> None:
        try:
            staged.write(number.to_bytes(4))
            for start in range(4, size, len(PIECE)):
                staged.write(PIECE[: size - start])
            arrived.wait()
            staged.finish()
        except BaseException as failure:
            arrived.abort()
            failures.append(failure)
        staged.cancel()

    threads = [threading.Thread(target=send, args=(n, store.stage())) for n in range(uploads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    sys.stdout.write(str(resident("VmHWM") - before))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
