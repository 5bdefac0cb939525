"""`newleaf` and `python -m newleaf`."""

import os
import sys
from contextlib import suppress
from io import TextIOWrapper


def main() -> None:
    """Run the command line and leave with its exit code; a signal gets its sentence from here on, never a traceback."""
    from newleaf.training import signals

    try:
        signals.raise_until_listening()
        if isinstance(sys.stdout, TextIOWrapper):  # results are UTF-8, whatever the locale; half a character is shown escaped
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
        from newleaf.cli.main import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt as asked:  # during the import, or another one while the first was answered
        signals.ignore()
        from newleaf.cli.main import answer

        code = answer(asked, sys.argv[1:])
    signals.ignore()
    with suppress(OSError):  # whoever read our output has gone
        sys.stdout.flush()
    os._exit(code)  # everything is written: taking torch apart would cost 0.3 s of the budget


if __name__ == "__main__":
    main()
