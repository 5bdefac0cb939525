"""No pickle, no eval, no remote code, and one module that writes: read off the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import newleaf

SOURCE = Path(newleaf.__file__).parent
FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
WRITERS = {
    "write_text",
    "write_bytes",
    "unlink",
    "rename",
    "replace_file",
    "mkdir",
    "rmdir",
    "touch",
    "save_file",
    "tofile",
    "rmtree",
    "makedirs",
    "removedirs",
}


def nodes() -> Iterator[tuple[str, ast.AST]]:
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            yield str(path.relative_to(SOURCE)), node


def called(node: ast.AST) -> tuple[str, str]:
    """(owner, name) of a call, empty for what is none."""
    if not isinstance(node, ast.Call):
        return "", ""
    if isinstance(node.func, ast.Attribute):
        return ast.unparse(node.func.value), node.func.attr
    return "", node.func.id if isinstance(node.func, ast.Name) else ""


def test_nothing_that_can_run_code_from_data_is_imported_or_called() -> None:
    wrong = []
    for file, node in nodes():
        modules = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        wrong += [(file, module) for module in modules if module.split(".")[0] in FORBIDDEN_MODULES]
        owner, name = called(node)
        wrong += [(file, name)] if not owner and name in FORBIDDEN_CALLS else []
        wrong += (
            [(file, f"{owner}.{name}")] if (owner, name) in {("torch", "save"), ("torch", "load"), ("np", "load"), ("np", "save")} else []
        )
        wrong += [(file, "trust_remote_code")] if isinstance(node, ast.keyword) and node.arg == "trust_remote_code" else []
    assert not wrong


def test_only_fsio_writes_files() -> None:
    wrong = []
    for file, node in nodes():
        if file == "fsio.py":
            continue
        owner, name = called(node)
        if name == "open" and isinstance(node, ast.Call):
            mode = next(
                (
                    a.value
                    for a in [*node.args, *(k.value for k in node.keywords)]
                    if isinstance(a, ast.Constant) and isinstance(a.value, str) and set(a.value) <= set("rwaxbt+")
                ),
                "r",
            )
            wrong += [(file, f"open {mode}")] if set(mode) & set("wax+") and "devnull" not in ast.unparse(node) else []
        if name in WRITERS and owner != "fsio":
            wrong.append((file, f"{owner}.{name}"))
        if (owner, name) in {("os", "replace"), ("os", "remove"), ("os", "rename"), ("os", "write")}:
            wrong.append((file, f"{owner}.{name}"))
    assert not wrong
