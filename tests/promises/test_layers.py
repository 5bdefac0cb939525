"""Imports point one way: a layer never imports a higher one, and whole layers stay free of torch."""

import ast
import subprocess
import sys
from pathlib import Path

import newleaf

SOURCE = Path(newleaf.__file__).parent
LAYERS = (
    {"version", "errors", "settings", "runtime", "memory", "workers", "fsio"},
    {"text", "model", "loss", "optim"},
    {"tokens"},
    {"batches", "checkpoint", "conversion", "runs"},
    {"training", "generation"},
    {"evaluation"},
    {"jobs"},
    {"api"},
    {"__init__"},
    {"cli"},
    {"__main__"},
)
FORBIDDEN = {("training", "evaluation"), ("training", "generation"), ("conversion", "evaluation"), ("conversion", "generation")}
FORBIDDEN |= {("model", "optim"), ("model", "loss"), ("model", "tokens")}


def imports() -> list[tuple[str, str, str]]:
    """(file, its part, the part it imports), function bodies included; imports for type checkers alone are left out."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        part = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        tree = ast.parse(path.read_text("utf-8"))
        typing_only = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            if id(node) in typing_only:
                continue
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            for name in names:
                parts = name.split(".")
                if parts[0] == "newleaf":
                    targets = (
                        [parts[1]]
                        if len(parts) > 1
                        else [
                            alias.name for alias in node.names if (SOURCE / alias.name).exists() or (SOURCE / f"{alias.name}.py").exists()
                        ]
                    )
                    found += [(str(path.relative_to(SOURCE)), part, target) for target in targets]
    return found


def layer_of(part: str) -> int:
    return next(index for index, layer in enumerate(LAYERS) if part in layer)


def test_every_import_points_down_or_sideways() -> None:
    wrong = [(file, target) for file, part, target in imports() if part != target and layer_of(target) > layer_of(part)]
    assert not wrong


def test_forbidden_pairs_never_meet() -> None:
    assert not [(file, target) for file, part, target in imports() if (part, target) in FORBIDDEN]


def test_parts_of_one_layer_import_each_other_without_circles() -> None:
    edges = {(part, target) for _, part, target in imports() if part != target and layer_of(part) == layer_of(target)}
    reach = set(edges)
    for _ in edges:
        reach |= {(a, d) for a, b in reach for c, d in edges if b == c}
    assert not [(a, b) for a, b in reach if a == b]


def test_importing_newleaf_imports_no_torch() -> None:
    code = "import sys, newleaf.api; sys.exit(bool({'torch', 'numpy', 'tokenizers', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_of_every_verb_imports_no_torch() -> None:
    for verb in ([], ["train"], ["plan"], ["tune"], ["augment"], ["generate"], ["chat"], ["evaluate"], ["verify"]):
        code = f"import sys; from newleaf.cli.main import run; code = run({[*verb, '--help']!r}); sys.exit(code or 'torch' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
        assert done.returncode == 0, (verb, done.stderr)
        assert "Usage" in done.stdout
