"""The written pages of the repository, and what stands in them."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
GUIDES = [*sorted((ROOT / "docs/guide").rglob("*.md"))]
READMES = [ROOT / "README.md", ROOT / "README.zh.md"]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.S | re.M)
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "lab").glob("*.md"))]


def named(path: Path) -> str:
    """A page as a test calls it."""
    return str(path.relative_to(ROOT))


def blocks(path: Path, kind: str) -> list[str]:
    """The fenced blocks of one kind (sh, text, python, or "" for those without a name)."""
    return [body for opened, body in FENCED.findall(path.read_text("utf-8")) if opened == kind]


def commands(path: Path, program: str) -> list[list[str]]:
    """The words of every line of an sh block that calls `program`, comments left out."""
    lines = [line for block in blocks(path, "sh") for line in without_documents(block).splitlines()]
    return [words for line in lines if line.startswith(f"{program} ") and (words := shlex.split(line, comments=True))]


def without_documents(block: str) -> str:
    """A block without the texts between <<'END' and END."""
    return re.sub(r"<<'END'(.*)\n(?:.*\n)*?END$", r"\1", block, flags=re.M)


def without_comments(block: str) -> str:
    """Code as it runs: each language comments in its own words."""
    return re.sub(r"  # .*", "", block)


def headings(path: Path) -> list[str]:
    """The marks of the headings in their order: '#', '##', …"""
    return re.findall(r"^(#+) ", FENCED.sub("", path.read_text("utf-8")), re.M)


def tree(path: Path, root: str) -> list[str]:
    """The names in the tree that begins with `root`."""
    block = next(block for block in blocks(path, "") if block.startswith(f"{root}\n"))
    return [line.split()[0].removesuffix("/") for line in block.splitlines()[1:]]
