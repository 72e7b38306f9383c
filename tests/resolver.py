"""A name service for the processes of a server: names of a test's own, whose addresses change as it likes.

names = Names(tmp_path)
names.put("moving.test", "127.0.0.1", "10.0.0.1")  # the second time it is asked, and ever after, the other
with running_server(data_dir, env=names.environment) as server:
    ...
    assert names.asked("moving.test") == 1
"""

import json
from pathlib import Path

_SITE = """
import json, pathlib, socket

_place = pathlib.Path(__file__).parent
_original = socket.getaddrinfo


def getaddrinfo(host, *rest, **more):
    answers = json.loads((_place / "names.json").read_text()).get(host)
    if answers is None:
        return _original(host, *rest, **more)
    with (_place / f"{host}.asked").open("a+") as asked:
        asked.write("x")
        asked.flush()
        asked.seek(0)
        before = len(asked.read()) - 1
    return _original(answers[min(before, len(answers) - 1)], *rest, **more)


socket.getaddrinfo = getaddrinfo
"""


class Names:
    def __init__(self, directory: Path) -> None:
        self._directory = directory / "names"
        self._directory.mkdir()
        (self._directory / "sitecustomize.py").write_text(_SITE)
        self._answers: dict[str, tuple[str, ...]] = {}
        self._write()

    @property
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self._directory)}

    def put(self, name: str, *addresses: str) -> None:
        """From now on; the last one is for ever."""
        (self._directory / f"{name}.asked").unlink(missing_ok=True)
        self._answers[name] = addresses
        self._write()

    def asked(self, name: str) -> int:
        """How often since `put`."""
        path = self._directory / f"{name}.asked"
        return len(path.read_text()) if path.exists() else 0

    def _write(self) -> None:
        text = self._directory / "names.json.new"
        text.write_text(json.dumps(self._answers))
        text.replace(self._directory / "names.json")
