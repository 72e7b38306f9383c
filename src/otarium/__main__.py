"""`otarium` and `python -m otarium`."""


def main() -> None:
    # Imported here because every worker imports this module again, and has no use for the command line.
    from otarium.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
