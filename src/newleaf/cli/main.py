"""The command line: finds the verb, and turns whatever goes wrong into one sentence and an exit code.

Results on stdout, progress on stderr. Exit 0 done; 2 wrong before work began; 1 failed during it; 130 and 143 after a saved
interruption. The last line on stderr is then the sentence; with --json also an object on stdout.
"""

import difflib
import json
import os
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from cyclopts import App
from cyclopts.exceptions import CycloptsError, UnknownOptionError

from newleaf.cli import STDIN
from newleaf.conversion.facts import read_object
from newleaf.errors import NewleafError, OutOfMemoryError, UsageError
from newleaf.memory import out_of_memory
from newleaf.runs import Run
from newleaf.runtime import language, sleep_while_waiting
from newleaf.text.files import default_name
from newleaf.training.signals import farewell
from newleaf.version import __version__

FLAGS = ("--resume", "--extend", "--lora", "--json", "--greedy", "--echo", "--help", "--version", "--")
LATER = ("serve", "explain", "data", "doctor")

app = App(
    name="newleaf",
    help="Give it your text and your evening; it gives you your own GPT.",
    version=__version__,
    help_on_error=False,
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # it would leave without a sentence
)
for verb, summary in {
    "train": "Train a GPT on your text.",
    "tune": "Teach a model a task by examples.",
    "augment": "Let a model write more labelled examples.",
    "plan": "Show what train would do: size, time, memory, disk, expected quality.",
    "generate": "Continue a prompt.",
    "chat": "Talk with a model.",
    "evaluate": "Measure a model on text, in bits per byte.",
    "export": "Write a model for other programs, and prove it.",
    "verify": "Check every byte of a run or a model.",
}.items():
    app.command(f"newleaf.cli.{verb}:{verb}", name=verb, help=summary)


def run(arguments: list[str]) -> int:
    """One command, from its words to its exit code."""
    as_json = "--json" in arguments
    try:
        sleep_while_waiting()
        refuse_later(arguments)
        if arguments[:1] in (["train"], ["tune"], ["augment"], ["plan"]):
            from newleaf.cli.words import check_settings

            check_settings(arguments)
        app(plain(arguments), exit_on_error=False, print_error=False)
        sys.stdout.flush()
        return 0
    except NewleafError as error:
        return report(error, as_json)
    except CycloptsError as error:
        return report(usage_error(error), as_json)
    except KeyboardInterrupt as asked:
        return answer(asked, arguments)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 (whoever read our output has gone; let the interpreter end in peace)
        return 1
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        failure = NewleafError(f"the system refused: {error.strerror or error}{place}", where=str(error.filename or ""))
        failure.exit_code = 1
        return report(failure, as_json)
    except Exception as error:  # nobody foresaw it
        if out_of_memory(error):
            return report(OutOfMemoryError("memory ran out", hint="free some and try again; a run goes on with --resume"), as_json)
        traceback.print_exc()
        bug = NewleafError(
            f"this is a bug of newleaf: {type(error).__name__}: {error}",
            hint="please open an issue in its repository, with the lines above",
        )
        bug.exit_code = 1
        return report(bug, as_json)


def answer(asked: KeyboardInterrupt, arguments: Sequence[str]) -> int:
    """To a signal before training listens; where it was to go on, --json prints the summary that stands there."""
    error = farewell(asked)
    if arguments[:1] == ["train"] and {"--resume", "--extend"} & set(arguments):
        error.found = dict(read_object(Run(named_run(arguments)).summary)) or None
    return report(error, "--json" in arguments)


def named_run(arguments: Sequence[str]) -> Path:
    """The run of a command to train, without the parser: the signal may have come while that was imported."""
    following = list(zip(arguments, [*arguments[1:], ""], strict=True))
    named = [after for word, after in following if word == "--out"] + [word[6:] for word in arguments if word.startswith("--out=")]
    data = [after for word, after in following if (word == "train" or not takes_value(word)) and after and not after.startswith("--")]
    return Path(named[0] if named else Path("runs", default_name(data[:1])))


def takes_value(word: str) -> bool:
    """Whether the value of a flag is the next word."""
    return word.startswith("--") and "=" not in word and word not in FLAGS


def plain(arguments: list[str]) -> list[str]:
    """The words as the parser understands them: a bare dash as a name for stdin, and each setting in one word with its value."""
    words: list[str] = []
    for word in arguments:
        before = words[-1] if words else ""
        valued = takes_value(before)
        if valued and "." in before and not word.startswith("--"):
            words[-1] = f"{before}={word}"
        else:
            words.append(STDIN if word == "-" and not valued else word)
    return words


def report(error: NewleafError, as_json: bool) -> int:
    """The sentence, in the person's language, as the last line of stderr; with --json its parts on stdout."""
    sentence, found = str(error), error.found or {"error": error.as_json()}
    if language() == "zh":
        from newleaf.cli.chinese import translate

        sentence, parts = translate(error)
        found = found | {"error": parts} if "error" in found else found
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
    print(sentence, file=sys.stderr)
    return error.exit_code


def usage_error(error: CycloptsError) -> UsageError:
    """The parser's complaint in our words, with the nearest name where there is one."""
    if isinstance(error, UnknownOptionError) and error.token is not None:
        return unknown_option(error.token.keyword or error.token.value)
    message = " ".join(str(error).split()).replace('"', "'")
    verbs = ", ".join(name for name in app if not name.startswith("-"))  # the parser names eight
    message = re.sub("Available commands: .*", f"Available commands: {verbs}", message)
    return UsageError(message, hint="see newleaf --help")


def unknown_option(word: str) -> UsageError:
    """An unknown flag, or an unknown setting in a group."""
    from newleaf.settings import names, unknown_setting
    from newleaf.training.settings import Recipe

    name = word.lstrip("-").split("=")[0]
    if "." in name:
        return unknown_setting(name, names(Recipe))
    flags = "out minutes steps tokens epochs val column from seed recipe resume extend json max-tokens temperature top-p top-k min-p "
    flags += "repetition-penalty greedy stop n echo precision to quantize task input second-input output label columns lora column suite"
    nearest = difflib.get_close_matches(name, flags.split(), n=1, cutoff=0.6)
    hint = f"did you mean --{nearest[0]}?" if nearest else "see newleaf --help"
    if name in nearest:
        hint = "other commands have it; see newleaf --help"
    return UsageError(f"unknown option --{name}", where=f"--{name}", hint=hint)


def refuse_later(arguments: Sequence[str]) -> None:
    """Verbs that the design names and a later version brings."""
    if arguments and arguments[0] in LATER:
        raise UsageError(f"newleaf {arguments[0]} is not there yet in version {__version__}", hint="see newleaf --help for what is")
