"""Each use of newleaf run as a person runs it: a base from the texts at hand, tuned on examples, its figure beside what it has to beat.

    python lab/bench/applications.py run [NAME ...]
    python lab/bench/applications.py curve NAME ...
    python lab/bench/applications.py table

applications.toml has a row a use. A line of JSON a run goes to --results; what has one is skipped, so that a series that was stopped goes
on. `curve` tunes with an eighth, a quarter and a half of the examples, too: what more of them would bring. The data comes from
NEWLEAF_DATA; texts, runs and logs stay in --work.
"""

import argparse
import json
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import commands
from peers.results import machine
from uses import examples, texts
from uses.forms import Forms
from uses.functions import compiles
from uses.rows import NAME

import newleaf
from newleaf.conversion.wording import headline_metric
from newleaf.evaluation import rivals
from newleaf.evaluation.labels import label_figures
from newleaf.evaluation.metrics import mean
from newleaf.generation.engine import Sample
from newleaf.generation.settings import Sampling
from newleaf.training.tasks import TASKS

ROWS = tomllib.loads((Path(__file__).parent / "applications.toml").read_text("utf-8"))
RESULTS = Path(__file__).parent.parent / "results" / "applications.jsonl"
SHARES = (8, 4, 2)  # one of so many examples
JUDGED, MOST_TOKENS = 200, 512  # answers that a judge reads, and how long they may be

OTHERS: tuple[str | tuple[str, ...], ...] = (
    "你到底是谁？",
    "请问怎么称呼你",
    "你的名字叫什么呢",
    "Tell me your name.",
    "And who are you?",
    ("今天天气怎么样？", "对了，你叫什么名字？"),
    ("帮我写一首关于春天的诗。", "写得不错，你是谁？"),
    ("What is the capital of France?", "What is your name?"),
)

Line = dict[str, Any]
Judge = tuple[Sequence[str | tuple[str, ...]], Callable[[int, Sample], bool]]


class Uses:
    """The lines so far, and what is needed for the next one."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.results, self.work, self.data = arguments.results, arguments.work.resolve(), Path(os.environ["NEWLEAF_DATA"])
        lines = self.results.read_text("utf-8").splitlines() if self.results.exists() else []
        self.lines: dict[str, Line] = {line["name"]: line for line in map(json.loads, lines)}

    def keep(self, line: Line) -> None:
        self.lines[line["name"]] = line
        with self.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        print(json.dumps(line, ensure_ascii=False), flush=True)

    def base(self, name: str) -> Path:
        """A trained base, or a tuned run of another use."""
        out = self.work / "runs" / name
        row = next((row for row in ROWS["base"] if row["name"] == name), None)
        if row is None:
            self.use(next(row for row in ROWS["use"] if row["name"] == name))
        elif name not in self.lines:
            text = texts.written(name, self.data, self.work / "data")
            summary, process = command(["train", text, "--minutes", row["minutes"], "--out", out, "--resume"], out)
            self.keep({"name": name, "minutes": row["minutes"], **process, **some_of(summary, "val_bpb", "parameters", "train_bytes")})
        return out

    def use(self, row: Mapping[str, Any]) -> None:
        """Tune, and where there is a test or a judge, ask it."""
        name = row["name"]
        if name in self.lines:
            return
        base, out = self.base(row["base"]), self.work / "runs" / name
        files = examples.written(name.removesuffix("-lora"), self.data, self.work / "data")
        words = [
            "tune",
            base,
            files["train"],
            *(["--val", files["val"]] if "val" in files else []),
            "--task",
            row["task"],
            "--minutes",
            row["minutes"],
            "--out",
            out,
        ]
        summary, process = command([*words, *row.get("words", [])], out)
        known = some_of(summary, "metrics", "baselines", "forgotten", "val_loss", "steps", "epochs", "parameters", "stopped_by")
        line = {"name": name, "base": row["base"], "task": row["task"], "minutes": row["minutes"], **process, **known}
        if "test" in files:
            line |= tested(out, files)
        if "judge" in row:
            line["judged"] = {row["judge"]: judged(row["judge"], {"tuned": out, "untuned": base}, files)}
        self.keep(line)

    def curve(self, row: Mapping[str, Any]) -> None:
        """The same with fewer examples, TF-IDF beside it."""
        files = examples.written(row["name"], self.data, self.work / "data")
        lines = files["train"].read_text("utf-8").splitlines()
        for share in SHARES:
            name, some = f"{row['name']}, {1 / share:g} of the examples", lines[::share]
            if name not in self.lines:
                part = files["train"].with_name(f"{row['name']}-{share}.jsonl")
                part.write_text("\n".join(some) + "\n", "utf-8")
                out = self.work / "runs" / f"{row['name']}-{share}"
                same = ["--task", row["task"], "--minutes", row["minutes"], "--val", files["val"], "--out", out]
                summary, process = command(["tune", self.base(row["base"]), part, *same], out)
                self.keep({"name": name, "examples": len(some), **process, **some_of(summary, "metrics", "baselines", "epochs")})


def command(words: list[Any], out: Path) -> tuple[Line, Line]:
    """The object that a command prints; its seconds, its memory and what it ran on."""
    found, process = commands.run(words, out.with_suffix(".log"))
    return found, process | machine()


def some_of(summary: Line, *names: str) -> Line:
    return {name: summary[name] for name in names if name in summary}


def tested(out: Path, files: Mapping[Any, Path]) -> Line:
    """Figures on examples that chose nothing, beside TF-IDF's."""
    found, _ = command(["evaluate", out, files["test"]], out.with_name(out.name + "-test"))
    train, test = examples.read(files["train"]), examples.read(files["test"])
    names = sorted({str(row["label"]) for row in train})
    said = rivals.tfidf([row["text"] for row in train], [str(row["label"]) for row in train], names, [row["text"] for row in test])
    labels = rivals.np.array([names.index(str(row["label"])) for row in test])
    return {"test": found, "test_tfidf": label_figures(labels, said)}


def judged(judge: str, models: Mapping[str, Path], files: Mapping[Any, Path]) -> Line:
    """The share of answers that pass, of the tuned model, the base, and the questions themselves."""
    rows = examples.read(files.get("val", files["train"]))[:JUDGED]
    asked, passes = JUDGES[judge](rows, examples.read(files["train"]))
    found = {}
    for name, path in models.items():
        model = newleaf.load(path)
        said = [answer(model, question, name == "tuned") for question in asked]
        found[name] = share(passes, said)
    copies = [Sample(question if isinstance(question, str) else question[-1], [], "length") for question in asked]  # never by itself
    return found | {"copy the input": share(passes, copies)}


def share(passes: Callable[[int, Sample], bool], said: Sequence[Sample]) -> Line:
    return dict(mean([float(passes(place, sample)) for place, sample in enumerate(said)]).as_json())


def stops_by_itself(rows: list[Line], known: list[Line]) -> Judge:
    return [row["instruction"] + row["input"] for row in rows][:100], lambda place, sample: sample.stopped_by == "end"


def keeps_its_name(rows: list[Line], known: list[Line]) -> Judge:
    """Whether the name is said: to questions as in the examples, to others, and after talk of something else."""
    asked = [*[row["instruction"] for row in rows if NAME in row["output"]][:20], *OTHERS]
    return asked, lambda place, sample: NAME in sample.text


def keeps_its_form(rows: list[Line], known: list[Line]) -> Judge:
    forms = Forms(known)
    return [row["title"] for row in rows], lambda place, sample: forms.keeps(rows[place]["title"], sample.text)


def is_python(rows: list[Line], known: list[Line]) -> Judge:
    return [row["docstring"] for row in rows], lambda place, sample: compiles(rows[place]["docstring"], sample.text)


JUDGES = {
    "stops by itself": stops_by_itself,
    "keeps its name": keeps_its_name,
    "keeps its form": keeps_its_form,
    "compiles": is_python,
}


def answer(model: Any, question: str | Sequence[str], tuned: bool) -> Any:
    """What a tuned model answers to the last of some questions; how a base goes on on the next line. Sampled, as a person would get it."""
    questions, talk, sampling = (
        [question] if isinstance(question, str) else question,
        list[dict[str, str]](),
        Sampling(max_tokens=MOST_TOKENS),
    )
    if not tuned:
        room = model.config.context // 2  # its windows are those of the text that it read: of a long question it sees the end
        return model.engine().generate(model.tokenizer.prompt(questions[-1] + "\n")[-room:], sampling)[0]
    for each in questions:
        talk.append({"role": "user", "content": each})
        sample = model.engine().generate(model.renderer.ids(talk), sampling)[0]
        talk.append({"role": "assistant", "content": sample.text})
    return sample


def table(lines: Mapping[str, Line]) -> None:
    """In Markdown, a row a use."""
    print("| use | minutes | figure | beside |\n|---|---|---|---|")
    for row in ROWS["use"]:
        line = lines.get(row["name"])
        if line:
            minutes = lines.get(line["base"], {}).get("minutes", 0) + line["minutes"]
            metric = headline_metric(line["metrics"]) or "val_loss"
            beside = [f"{name} {shown(each.get(metric))}" for name, each in line["baselines"].items()]
            figure = shown(line["metrics"].get(metric, line["val_loss"]))
            print(f"| {line['name']} | {minutes:g} | {metric} {figure} | {', '.join(beside)} |")


def shown(figure: Any) -> str:
    value = figure["value"] if isinstance(figure, dict) else figure
    return "–" if value is None else f"{value:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("run", "curve", "table"))
    parser.add_argument("names", nargs="*", help="of uses; all where none is named")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--work", type=Path, default=Path("build/applications"), help="where texts, runs and logs are kept")
    arguments = parser.parse_args()
    if "NEWLEAF_DATA" not in os.environ:
        raise SystemExit("skipped: NEWLEAF_DATA names no folder with the real data")
    uses = Uses(arguments)
    assert {row["task"] for row in ROWS["use"]} <= set(TASKS)
    for row in ROWS["use"]:
        if arguments.verb == "run" and row["name"] in (arguments.names or [row["name"]]):
            uses.use(row)
        if arguments.verb == "curve" and row["name"] in arguments.names:
            uses.curve(row)
    if arguments.verb == "table":
        table(uses.lines)


if __name__ == "__main__":
    main()
