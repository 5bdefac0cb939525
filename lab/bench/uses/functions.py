"""Functions with a docstring in the source of the standard library, by file; and how far what a model writes is Python."""

import ast
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from uses.rows import Part, Row, part_of

MOST_CHARACTERS = 1200  # of a function
LEFT_OUT = ("test", "tests", "site-packages", "idlelib", "lib2to3", "__pycache__")


def sources() -> Iterator[tuple[Part, Path]]:
    """The files of the library, a file on one side."""
    library = Path(sysconfig.get_path("stdlib"))
    for path in sorted(library.rglob("*.py")):
        if not set(path.relative_to(library).parts) & set(LEFT_OUT):
            yield part_of(path.relative_to(library).as_posix()), path


def functions() -> Iterator[tuple[Part, Row]]:
    """{docstring, code}: all of a function up to the end of its docstring, and the rest."""
    for part, path in sources():
        try:
            text = path.read_text("utf-8")
            tree = ast.parse(text)
        except (SyntaxError, UnicodeDecodeError):
            continue
        lines = text.splitlines()
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) and len(node.body) > 1:
                indent, said = node.col_offset, node.body[0].end_lineno or 0
                first = node.decorator_list[0].lineno if node.decorator_list else node.lineno
                head = [line[indent:] for line in lines[first - 1 : said]]
                rest = [line[indent:] for line in lines[said : node.end_lineno]]
                row = {"docstring": "\n".join(head), "code": "\n".join(rest)}
                if sum(map(len, row.values())) <= MOST_CHARACTERS and parses("\n".join(row.values())):
                    yield part, row


def parses(text: str) -> bool:
    """Whether it is Python."""
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True


def compiles(question: str, answer: str) -> bool:
    """Whether the function that was asked for is Python with what was written: one function, whose body is more than its docstring."""
    text = question + "\n" + answer
    made = ast.parse(text).body if parses(text) else []
    return len(made) == 1 and isinstance(made[0], ast.FunctionDef) and len(made[0].body) > 1
