"""Whatever can go wrong is also said in Chinese: every error in the source has its row, and real commands say it.

The source is read, not imported: each place that makes an error is taken apart into templates, every branch of it, and each template must
be found. A sentence that is new in English fails here and says which row of newleaf.cli.chinese is missing.
"""

import ast
import io
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import newleaf
from newleaf import errors
from newleaf.cli.chinese import EXPECTED, HINTS, MESSAGES, REASONS, in_chinese, reason, translate
from newleaf.cli.chinese.phrases import HOLE, Table
from newleaf.cli.console import Console
from newleaf.cli.main import run
from newleaf.errors import NewleafError
from newleaf.version import __version__

SOURCE = Path(newleaf.__file__).parent
HAN = re.compile("[\u4e00-\u9fff]")
GAP = "\0"  # a hole, while templates are put together
VERBS = "train, tune, augment, plan, generate, chat, evaluate, export, verify"
PARTS = ("message", "expected", "hint")
DAMAGED = f"{GAP} of {GAP} files are damaged, the first is {GAP}, which "
MOST = 64  # templates of one expression
Function = ast.FunctionDef | ast.AsyncFunctionDef


# reading the source -----------------------------------------------------------------------------------------------------


@dataclass
class Source:
    """All modules: who defines what, and who calls whom."""

    trees: dict[str, ast.Module] = field(default_factory=dict)
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)
    calls: dict[str, list[ast.Call]] = field(default_factory=dict)

    @classmethod
    def read(cls) -> "Source":
        source = cls()
        for path in sorted(SOURCE.rglob("*.py")):
            name = str(path.relative_to(SOURCE))
            if name == "errors.py" or name.startswith("cli/chinese/"):
                continue
            tree = source.trees[name] = ast.parse(path.read_text("utf-8"))
            for node in ast.walk(tree):
                source.parents |= dict.fromkeys(ast.iter_child_nodes(node), node)
                if isinstance(node, ast.Call):
                    source.calls.setdefault(called(node), []).append(node)
        return source

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        while node in self.parents:
            node = self.parents[node]
            yield node

    def function(self, node: ast.AST) -> Function | None:
        return next((each for each in self.above(node) if isinstance(each, Function)), None)

    def place(self, node: ast.expr) -> str:
        module = next(each for each in self.above(node) if isinstance(each, ast.Module))
        return f"{next(name for name, tree in self.trees.items() if tree is module)}:{node.lineno}"

    # templates

    def templates(self, node: ast.expr | None, depth: int = 4) -> set[str]:
        """What an expression can be, with GAP for what is not known here. None is nothing at all."""
        if node is None or depth < 0:
            return {GAP} if node else set()
        if isinstance(node, ast.Constant):
            return set() if node.value is None else {str(node.value)}
        if isinstance(node, ast.JoinedStr):
            return self.product([self.inserted(part, depth) for part in node.values])
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self.product([self.templates(side, depth) for side in (node.left, node.right)])
        if isinstance(node, ast.IfExp):
            return self.templates(node.body, depth) | self.templates(node.orelse, depth)
        if isinstance(node, ast.BoolOp):
            values = node.values[-1:] if isinstance(node.op, ast.And) else node.values
            return set[str]().union(*(self.templates(value, depth) for value in values))
        if isinstance(node, ast.Name):
            return self.named(node, depth - 1)
        if isinstance(node, ast.Subscript):
            return self.looked_up(node.value, depth - 1)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            return self.looked_up(node.func.value, depth - 1)
        return {GAP}

    def inserted(self, part: ast.expr, depth: int) -> set[str]:
        """A part of an f-string. A single word that is put in is a name, as good as any other."""
        if not isinstance(part, ast.FormattedValue):
            return self.templates(part, depth)
        if part.format_spec is not None or part.conversion != -1:
            return {GAP}
        return {found if " " in found or not found else GAP for found in self.templates(part.value, depth)} or {GAP}

    @staticmethod
    def product(sides: list[set[str]]) -> set[str]:
        return set(itertools.islice(("".join(parts) for parts in itertools.product(*map(sorted, sides))), MOST))

    def assigned(self, name: str, scope: ast.AST) -> list[ast.expr]:
        """The values that a name gets in a function or at the top of a module."""
        found: list[ast.expr] = []
        for node in ast.walk(scope):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name and node.value:
                found.append(node.value)
            for target in node.targets if isinstance(node, ast.Assign) else []:
                if isinstance(target, ast.Name) and target.id == name:
                    found.append(node.value)
                elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple | ast.IfExp):
                    values = [node.value] if isinstance(node.value, ast.Tuple) else [node.value.body, node.value.orelse]
                    names = [each.id if isinstance(each, ast.Name) else "" for each in target.elts]
                    if name in names:
                        found += [value.elts[names.index(name)] for value in values if isinstance(value, ast.Tuple)]
        return found

    def named(self, node: ast.Name, depth: int) -> set[str]:
        """A local name by its assignments, a parameter by the calls of its function."""
        function = self.function(node)
        if function is None:
            return {GAP}
        if found := self.assigned(node.id, function):
            return set[str]().union(*(self.templates(value, depth) for value in found))
        parameters = [each.arg for each in [*function.args.args, *function.args.kwonlyargs]]
        if node.id not in parameters or function.name.startswith("__"):
            return {GAP}
        arguments = [argument(call, parameters, node.id) for call in self.calls.get(function.name, [])]
        return set[str]().union(*(self.templates(each, depth) for each in arguments if each is not None)) or {GAP}

    def looked_up(self, table: ast.expr, depth: int) -> set[str]:
        """A value of a dictionary that stands in the source."""
        if not isinstance(table, ast.Name):
            return {GAP}
        scopes = [scope for scope in self.above(table) if isinstance(scope, Function | ast.Module)]
        values = (value for scope in scopes for value in self.assigned(table.id, scope) if isinstance(value, ast.Dict))
        found = next(values, None)
        return set[str]().union(*(self.templates(value, depth) for value in found.values)) if found else {GAP}


def called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else node.func.attr if isinstance(node.func, ast.Attribute) else ""


def argument(call: ast.Call, parameters: list[str], name: str) -> ast.expr | None:
    """What a call gives for a parameter."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    place = parameters.index(name) - (parameters[:1] in (["self"], ["cls"]))
    return call.args[place] if 0 <= place < len(call.args) else None


READ = Source.read()


def error_names() -> set[str]:
    """NewleafError and all that descend from it, wherever they are defined."""
    names = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, NewleafError)}
    while True:
        more = {
            node.name
            for tree in READ.trees.values()
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef) and names & {getattr(base, "id", getattr(base, "attr", "")) for base in node.bases}
        }
        if more <= names:
            return names
        names |= more


def raised() -> Iterator[tuple[str, str, str]]:
    """(place, part, template) of every error in the source."""
    for name in sorted(error_names()):
        for call in READ.calls.get(name, []):
            for part in PARTS:
                for template in sorted(READ.templates(argument(call, ["message"], part) if part == "message" else keyword(call, part))):
                    if template.strip(GAP):
                        yield READ.place(call), part, template


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((each.value for each in call.keywords if each.arg == name), None)


def reasons() -> Iterator[tuple[str, str]]:
    """(place, template) of what is said about a file, a row or a step, and comes into a sentence by way of a variable."""
    given = {"NotText": 0, "Broken": 0, "BadStep": 0, "Skipped": 1}
    for name, position in given.items():
        for call in READ.calls.get(name, []):
            yield from ((READ.place(call), template) for template in READ.templates(call.args[position]))
    for call in READ.calls["Entry"]:
        yield from ((READ.place(call), template) for template in READ.templates(keyword(call, "problem")))
    for module, table in (("text/files.py", "REASONS"), ("text/decode.py", "FORMATS")):
        for found in READ.assigned(table, READ.trees[module]):
            assert isinstance(found, ast.Dict)
            yield from ((f"{module} {table}", template) for value in found.values for template in READ.templates(value))
    for name in ("said", "_name_of_owner"):
        for function in functions(name):
            yield from returned(function)


def problems() -> Iterator[tuple[str, str]]:
    """(place, template) of what is said about a damaged file, after its name."""
    for name in ("seal_problem", "problem", "problems", "log_problem", "clock_problem"):
        for function in functions(name):
            yield from returned(function)


def functions(name: str) -> Iterator[Function]:
    yield from (node for tree in READ.trees.values() for node in ast.walk(tree) if isinstance(node, Function) and node.name == name)


def returned(function: Function) -> Iterator[tuple[str, str]]:
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None:
            values = node.value.values if isinstance(node.value, ast.Dict) else [node.value]
            yield from ((READ.place(node.value), template) for value in values for template in READ.templates(value))


def filled(template: str) -> tuple[str, list[str]]:
    """A template with something in its holes, and what that is."""
    tokens = [f"X{number}" for number in range(1, template.count(GAP) + 1)]
    return "".join(itertools.chain.from_iterable(itertools.zip_longest(template.split(GAP), tokens, fillvalue=""))), tokens


def left_in_english(chinese: str) -> list[str]:
    """Words of plain English in a translation: no names of settings or files, no flags, nothing in quotes, no command to type."""
    plain = re.sub(r"newleaf( [a-z]+)*|'[^']*'|true|false|save_pretrained\(.*\)", " ", chinese)
    return [word for word in re.findall(r"(?<![\w.\-/])[A-Za-z][a-z]+(?![\w.\-/(])", plain) if word.islower()]


MAY_STAY = {  # names of things
    *("chat", "default", "gguf", "gzip", "hf", "ids", "linear", "logits", "parquet", "stop", "transformers", "truncate", "zip", "zstd")
}


def complaint(english: str, chinese: str | None, tokens: list[str]) -> str | None:
    """What is wrong with a translation."""
    if chinese is None or (chinese == english and re.search("[a-z]{3,} ", english)):
        return "has no row in newleaf.cli.chinese"
    if lost := [token for token in tokens if token not in chinese]:
        return f"loses {lost}: {chinese}"
    if words := set(left_in_english(chinese)) - MAY_STAY:
        return f"is still English in {sorted(words)}: {chinese}"
    return None if HAN.search(chinese) or not left_in_english(english) else f"is not Chinese: {chinese}"


def test_every_error_that_is_raised_has_its_chinese() -> None:
    found, missing = list(raised()), []
    for place, part, template in found:
        english, tokens = filled(template)
        error = NewleafError(english) if part == "message" else NewleafError("X", **{part: english})
        chinese = translate(error)[1][part]
        if wrong := complaint(f"{english}." if part == "message" else english, chinese, tokens):
            missing.append(f"{place}: the {part} {template.replace(GAP, '{}')!r} {wrong}")
    assert not missing, "\n".join(missing)
    assert len(found) > 150, "the source was not read well"


def test_every_reason_within_a_sentence_has_its_chinese() -> None:
    within = [(place, template, "", reason) for place, template in reasons()]
    within += [(place, template, begin, in_chinese) for place, template in problems() for begin in (f"{GAP} ", DAMAGED)]
    missing = []
    for place, template, begin, say in within:
        english, tokens = filled(begin + template)
        if template.strip(GAP) and (wrong := complaint(english, say(english), tokens)):
            missing.append(f"{place}: the reason {template.replace(GAP, '{}')!r} {wrong}")
    assert not missing, "\n".join(missing)
    assert len(list(reasons())) > 30
    assert len(list(problems())) > 8


def test_a_new_error_without_chinese_would_be_noticed() -> None:
    english, tokens = filled(f"{GAP} is far too green")
    assert "English in ['far', 'green', 'too']" in (complaint(english, translate(NewleafError(english))[0], tokens) or "")
    english, tokens = filled(f"green things {GAP} everywhere")
    assert complaint(f"{english}.", translate(NewleafError(english))[0], tokens) == "has no row in newleaf.cli.chinese"


@pytest.mark.parametrize("table", [MESSAGES, EXPECTED, HINTS, REASONS])
def test_both_sides_of_a_row_have_the_same_holes(table: Table) -> None:
    for english, chinese in table.rows:
        assert {hole[0] for hole in HOLE.finditer(english)} == {hole[0] for hole in HOLE.finditer(chinese)}, english
        assert HAN.search(chinese), english
        assert not re.search("[\u4e00-\u9fff][,;:?!]", chinese), f"half-width punctuation: {chinese}"


# saying it --------------------------------------------------------------------------------------------------------------


def in_english_and_chinese(words: str, folder: Path) -> tuple[str, str, dict[str, str | None]]:
    """The last line of stderr of a command in both languages, and in Chinese the error of --json."""
    last, found = [], {}
    for language in ("en", "zh"):
        environment = os.environ | {"NEWLEAF_LANG": language, "PYTHONUTF8": "1"}
        command = [sys.executable, "-m", "newleaf", *words.split(), "--json"]
        done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True, encoding="utf-8")
        assert done.returncode == 2
        last.append(done.stderr.splitlines()[-1])
        found = json.loads(done.stdout)["error"]
        assert found["message"] == last[-1]
    return last[0], last[1], found


@pytest.mark.parametrize(
    ("words", "english", "chinese", "parts"),
    [
        (
            "train peoms.txt",
            "peoms.txt does not exist; did you mean poems.txt?",
            "peoms.txt 不存在；是不是想写 poems.txt？",
            ("TextError", "peoms.txt", None, "是不是想写 poems.txt？"),
        ),
        (
            "train poems.txt --optim.lrr 0.1",
            "unknown setting 'optim.lrr'; did you mean 'optim.lr'?",
            "没有 optim.lrr 这项设置；是不是想写 optim.lr？",
            ("SettingError", "optim.lrr", None, "是不是想写 optim.lr？"),
        ),
        (
            "train poems.txt --minutes -5",
            "--minutes is -5.0 (expected a number above 0).",
            "--minutes 的值是 -5.0（应为大于 0 的数）。",
            ("UsageError", "--minutes", "大于 0 的数", None),
        ),
        (
            "plan poems.txt --steps 1",
            "there are 10 bytes of text to learn from (expected at least 2,000); add more text.",
            "可以学习的文本只有 10 字节（应至少为 2,000）；请增加文本。",
            ("TextError", None, "至少为 2,000", "请增加文本"),
        ),
        (
            "train poems.txt --minuts 3",
            "unknown option --minuts; did you mean --minutes?",
            "没有 --minuts 这个选项；是不是想写 --minutes？",
            ("UsageError", "--minuts", None, "是不是想写 --minutes？"),
        ),
        (
            "tune --extend",
            "unknown option --extend; other commands have it; see newleaf --help.",
            "没有 --extend 这个选项；别的命令才有它；请看 newleaf --help。",
            ("UsageError", "--extend", None, "别的命令才有它；请看 newleaf --help"),
        ),
    ],
)
def test_a_command_says_it_in_the_language_asked_for(
    tmp_path: Path, words: str, english: str, chinese: str, parts: tuple[str | None, ...]
) -> None:
    (tmp_path / "poems.txt").write_text("ten bytes.")
    assert in_english_and_chinese(words, tmp_path) == (
        english,
        chinese,
        dict(zip(("type", "where", "expected", "hint"), parts, strict=True)) | {"message": chinese},
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "trian x",
            f"没有 trian 这个命令，是不是想写 train？可用的有 {VERBS}；请看 newleaf --help。",
        ),
        ("frobnicate", f"没有 frobnicate 这个命令，可用的有 {VERBS}；请看 newleaf --help。"),
        ("train x --minutes", "命令 train 缺少 --minutes 的值；请看 newleaf --help。"),
        ("train x --minutes soon", "--minutes 的值 'soon' 不是数字；请看 newleaf --help。"),
        ("train x --steps 2.5", "--steps 的值是 2.5（应为整数）。"),
        ("train x --resume=maybe", "--resume 的值 'maybe' 既不是 true 也不是 false；请看 newleaf --help。"),
        ("train x --seed 1 --seed 2", "--seed 给了不止一次；请看 newleaf --help。"),
        ("generate x --precision fp4", "--precision 的值不能是 'fp4'，可选的有 'float32', 'bf16'；请看 newleaf --help。"),
        (
            "generate x --precision f32",
            "--precision 的值不能是 'f32'，可选的有 'float32', 'bf16'，是不是想写 'float32'？请看 newleaf --help。",
        ),
        ("generate a b c", "多余的参数：['c']；请看 newleaf --help。"),
        (
            "generate a --model b",
            "--model 已经写成选项，'a' 就不能再按位置当作 prompt：请把 --model 也按位置写，或写成 --prompt 'a'；请看 newleaf --help。",
        ),
        ("serve x", f"{__version__} 版还没有 newleaf serve；现有的请看 newleaf --help。"),
        (
            "train rubbish",
            "里没有可以学习的文本（rubbish/a.pdf：不是文本：是 PDF；rubbish/b.jsonl:1：里面没有文本；rubbish/b.jsonl:2：JSON 格式有误）。",
        ),
        ("train x --recipe bad.toml", "bad.toml 不是正确的 TOML：文件末尾，值不对；请改正这一行。"),
        ("verify .", ". 里没有训练、检查点或模型（应为新叶写的文件夹）。"),
    ],
    ids=lambda words: words if words.isascii() else "",
)
def test_the_parser_and_the_reasons_within_a_sentence_speak_chinese(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    (tmp_path / "rubbish").mkdir()
    (tmp_path / "rubbish" / "a.pdf").write_bytes(b"%PDF-1.7")
    (tmp_path / "rubbish" / "b.jsonl").write_text('{"text": ""}\n{\n')
    (tmp_path / "bad.toml").write_text("model = [")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEWLEAF_LANG", "zh")
    assert run(words.split()) == 2
    assert capsys.readouterr().err.splitlines()[-1].replace(f"{tmp_path}{os.sep}", "").endswith(said)


def test_damage_and_other_budgets_are_told_in_chinese(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEWLEAF_LANG", "zh")
    assert run(["train", "--out", "run", "--resume", "--steps", "9"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "这里的预算是 9 步，而 run 开始时是 8 步；不写这一项就会接着这次训练，或者换一个 --out。"
    model = place / "run" / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    assert run(["verify", "run", "--json"]) == 2
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err.strip() == found["error"]["message"]
    assert re.fullmatch(r"\d+ 个文件中有 1 个已损坏，第一个是 run/model.safetensors：写好之后被改动过（sha256 不符）。", err.strip())
    assert [file["reason"] for file in found["files"] if not file["ok"]] == ["has changed since it was written (sha256 differs)"]
    assert run(["verify", "run"]) == 2
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.replace(os.sep, "/") == "损坏  run/model.safetensors：写好之后被改动过（sha256 不符）"
    assert second.startswith("完好  ")


def test_training_says_nothing_in_english(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("NEWLEAF_LANG", "zh")
    assert run(["train", "good.txt", "--out", "runs/new", "--steps", "2", "--model.width", "64", "--model.depth", "1"]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "的样本：" not in line]
    assert len(said) > 25
    assert {word for line in said for word in left_in_english(line)} == {"adamw", "muon", "xz"}


def test_a_plan_gives_its_reasons_in_the_language_asked_for(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["plan", "good.txt", "--steps", "5", "--train.threads", "1"]
    given: dict[str, str] = {}
    for language, chinese in (("en", False), ("zh", True)):
        monkeypatch.setenv("NEWLEAF_LANG", language)
        assert run([*words, "--json"]) == 0
        given = json.loads(capsys.readouterr().out)["reasons"]
        assert given
        assert all(bool(HAN.search(sentence)) == chinese for sentence in given.values())
    assert run(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[lines.index("") + 1 :] == [f"{name}：{sentence}" for name, sentence in given.items()]


def test_a_live_line_in_chinese_is_wiped_to_its_end(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("NEWLEAF_LANG", "zh")
    console = Console()
    console.live = True
    console.step({"step": 1, "loss": 6.2, "tokens_per_second": 9.0}, {"progress": 0.1, "mfu": 0.1, "seconds_left": 4.0})
    line = capsys.readouterr().err.removeprefix("\r")
    console.event("the moon", "月")
    wide = len(HAN.findall(line))  # each takes two columns
    assert wide > 10
    assert capsys.readouterr().err == f"\r{' ' * (len(line) + wide)}\r月\n"


@pytest.mark.parametrize(("language", "said"), [("en", "evaluated 50% · 0:20 left"), ("zh", "已评估 50% · 还剩 0:20")])
def test_an_evaluation_that_takes_long_says_how_far_it_is_and_one_that_does_not_says_nothing(
    language: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEWLEAF_LANG", language)
    console, now = Console(), [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    for now[0], share in ((100.0, 0.0), (104.0, 0.2), (120.0, 0.5), (121.0, 0.55)):
        console.share(share)
    assert capsys.readouterr().err == f"{said}\n"


def test_chat_begins_in_the_language_asked_for(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for language, begins in (("en", "It continues what you write"), ("zh", "你写一行，模型接着写")):
        monkeypatch.setenv("NEWLEAF_LANG", language)
        monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
        assert run(["chat", "run"]) == 0
        assert capsys.readouterr().err.startswith(begins)


def test_english_errors_import_no_chinese() -> None:
    code = "import sys; from newleaf.cli.main import run; run(['tune']); sys.exit('newleaf.cli.chinese' in sys.modules)"
    for language, imported in (("en", 0), ("zh", 1)):
        environment = os.environ | {"NEWLEAF_LANG": language, "PYTHONUTF8": "1"}
        assert subprocess.run([sys.executable, "-c", code], env=environment, check=False, capture_output=True).returncode == imported


ENGLISH = st.sampled_from([re.sub(HOLE, "X", english) for table in (MESSAGES, EXPECTED, HINTS, REASONS) for english, _ in table.rows])
TEXT = st.text() | ENGLISH | st.lists(st.text(max_size=9) | ENGLISH, max_size=4).map(": ".join)


@given(TEXT, st.none() | TEXT, st.none() | TEXT, st.none() | TEXT)
@settings(max_examples=500)
def test_translate_takes_any_text(message: str, where: str | None, expected: str | None, hint: str | None) -> None:
    error = NewleafError(message, where=where, expected=expected, hint=hint)
    said, parts = translate(error)
    assert parts.keys() == error.as_json().keys()
    assert parts["message"] == said
    assert "\n" not in said
    assert (parts["type"], parts["where"]) == ("NewleafError", where)


def test_what_has_no_row_stays_as_it_is() -> None:
    parts = {"where": "sky", "expected": "a moon", "hint": "look up"}
    known, unknown = NewleafError("moon is missing", **parts), NewleafError("no moon tonight", **parts)
    assert translate(known)[0] == "sky：缺少 moon（应为 a moon）；look up。"
    assert translate(unknown) == (str(unknown), unknown.as_json())
    deep = NewleafError("no text to learn from in x (y: " + "not text: " * 5_000 + ")")
    assert translate(deep) == (str(deep), deep.as_json())
