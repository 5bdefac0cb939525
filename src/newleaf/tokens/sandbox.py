"""Jinja templates of other people, rendered in a process of their own: immutable sandbox, no files, bounds on time, memory and length.

The process reads one JSON object, {"template", "values": [object, …]}, and answers {"texts": […]} or {"error"}. Names and filters are
those that transformers gives to chat templates (https://huggingface.co/docs/transformers/chat_templating_writing).
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from newleaf.errors import ModelError

SECONDS, MEMORY, MOST_CHARACTERS = 5, 512 << 20, 1 << 20  # of CPU for one rendering, address space, of what comes out


def render(template: str, values: Sequence[Mapping[str, Any]]) -> list[str]:
    """The text for each of `values`. ModelError, saying why, where the template is wrong, refuses them or exceeds the bounds."""
    question = json.dumps({"template": template, "values": values}).encode()
    try:
        command = [sys.executable, "-P", "-m", __name__]
        answer = subprocess.run(command, input=question, capture_output=True, timeout=60 + len(values), check=False).stdout
    except subprocess.TimeoutExpired:
        answer = b""
    found = json.loads(answer) if answer else {"error": f"it takes more than {SECONDS} seconds or {MEMORY >> 20} MB"}
    if "error" in found:
        raise ModelError(f"the chat template cannot be used: {found['error']}", expected="a Jinja template of messages")
    return list(map(str, found["texts"]))


def environment() -> Any:
    """As transformers sets it up, but for nothing that reaches outside."""
    import jinja2
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """{% generation %} … {% endgeneration %}: what an assistant has said, rendered as it is."""

        tags = {"generation"}  # noqa: RUF012 (jinja2 wants a set)

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return jinja2.nodes.Scope(body).set_lineno(line)

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"])
    made.filters["tojson"] = lambda value, indent=None, **_: json.dumps(value, ensure_ascii=False, indent=indent)
    made.globals |= {"raise_exception": refuse, "strftime_now": lambda form: datetime.now().strftime(form)}
    return made


def limit() -> None:
    """POSIX alone has such limits; elsewhere the clock of the caller is the only one."""
    with suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def allow_seconds() -> None:
    """So much more CPU from now on."""
    with suppress(ImportError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + SECONDS, resource.RLIM_INFINITY))


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    try:
        template, texts = environment().from_string(question["template"]), []
        for values in question["values"]:
            allow_seconds()
            texts.append(template.render(values))
            if len(texts[-1]) > MOST_CHARACTERS:
                return {"error": f"it writes more than {MOST_CHARACTERS:,} characters"}
    except MemoryError:
        return {"error": f"it takes more than {MEMORY >> 20} MB"}
    except Exception as error:  # whatever a template does
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
    return {"texts": texts}


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    limit()
    allow_seconds()
    print(json.dumps(answer(asked)))
