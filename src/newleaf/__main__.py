"""`newleaf` and `python -m newleaf`."""

import sys


def main() -> None:
    """Run the command line and leave with its exit code; a signal gets its sentence from here on, never a traceback."""
    from newleaf.errors import Interrupted
    from newleaf.training import signals

    try:
        signals.raise_until_listening()
        from newleaf.cli.main import run

        code = run(sys.argv[1:])
    except (Interrupted, KeyboardInterrupt) as asked:  # during the import, or while the answer to the first one was printed
        code = asked.exit_code if isinstance(asked, Interrupted) else 130
        print("stopped.", file=sys.stderr)
    signals.ignore()
    sys.exit(code)


if __name__ == "__main__":
    main()
