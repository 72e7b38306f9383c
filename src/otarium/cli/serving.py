"""What `otarium serve` becomes once its options are parsed: a process that loads nothing else.

Whatever the command line loaded would stay in the memory of the main process for as long as the server runs.
Nothing is imported here before it is needed, for the same reason.
"""

import json
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from otarium.settings import Settings


def become_server(storage: dict[str, Any], http: dict[str, Any]) -> NoReturn:
    """Replaces this process, which keeps its number. The options are as `settings_of` takes them."""
    options = json.dumps({"command": sys.argv[0], "storage": storage, "http": http}, default=str)
    # -P: what lies in the current directory is no module of ours.
    os.execv(sys.executable, [sys.executable, "-P", "-m", __name__, options])  # noqa: S606


def settings_of(storage: dict[str, Any], http: dict[str, Any]) -> "Settings":
    """Options over the environment; None is none. Raises SystemExit(2) when one is wrong."""
    from pydantic import ValidationError

    from otarium.settings import HttpSettings, Settings, StorageSettings

    def given(options: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in options.items() if value is not None}

    try:
        return Settings(storage=StorageSettings(**given(storage)), http=HttpSettings(**given(http)))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        print(f"otarium: the setting {place} is wrong: {first['msg']}", file=sys.stderr)
        raise SystemExit(2) from None


def main() -> None:
    os.umask(0o077)
    options = json.loads(sys.argv[1])
    sys.argv[:] = [options["command"]]
    try:
        from otarium.server import Banner, serve

        serve(settings_of(options["storage"], options["http"]), Banner())
    except Exception:
        import typer

        from otarium.cli.opening import told

        try:
            with told():
                raise
        except typer.Exit as end:
            sys.exit(end.exit_code)


if __name__ == "__main__":
    main()
