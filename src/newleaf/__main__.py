"""`newleaf` and `python -m newleaf`."""

import os
import sys
from contextlib import suppress


def main() -> None:
    """Run the command line and leave with its exit code; a signal gets its sentence from here on, never a traceback."""
    from newleaf.training import signals

    try:
        signals.raise_until_listening()
        from newleaf.cli.main import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt as asked:  # during the import, or another one while the first was answered
        from newleaf.runtime import language

        error = signals.farewell(asked)
        code, sentence = error.exit_code, str(error)
        if language() == "zh":
            from newleaf.cli.chinese import translate

            sentence, _ = translate(error)
        print(sentence, file=sys.stderr)
    signals.ignore()
    with suppress(OSError):  # whoever read our output has gone
        sys.stdout.flush()
    os._exit(code)  # everything is written: taking torch apart would cost 0.3 s of the budget


if __name__ == "__main__":
    main()
