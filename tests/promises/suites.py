"""Items that are asked both here and by lm-eval, each task as a table of a suite and as lm-eval's YAML."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]
LONG = "the old moon of spring and " * 12  # beyond the context of a small model
CHOICES = [
    {"query": "the spring", "choices": ["river moon", "a", "bright old new song and flower"], "gold": 0},
    {"query": "the spring ", "choices": ["river", "春江花月夜"], "gold": 1},
    {"query": "Question: of the leaf\n", "choices": ["old", "new leaf", " a", "花月夜明"], "gold": 2},
    {"query": "a bright song and", "choices": ["the moon.", "the moon", "the moon of the night."], "gold": 1},
    {"query": LONG, "choices": ["river", "flower of the night"], "gold": 0},
    {"query": "", "choices": ["the", "song of a night", "夜"], "gold": 0},
    {"query": "flower\n\n", "choices": ["and", "new old"], "gold": 1},
]
CHINESE_CHOICES = [
    {"query": "春江", "choices": ["花月", "明夜水流", "新叶a"], "gold": 0},
    {"query": "春江花月夜，", "choices": ["流水", "the moon", "水"], "gold": 1},
    {"query": "流 ", "choices": ["水", "花月 夜"], "gold": 1},
    {"query": "春江花月夜" * 9, "choices": ["新叶", "明", "river"], "gold": 2},
    {"query": "新", "choices": ["叶叶", "叶叶叶叶。", "🍃"], "gold": 0},
]
PAIRS = [
    {"sentence_good": "the old moon and a flower.", "sentence_bad": "the old moon flower and a."},
    {"sentence_good": "A leaf is new.", "sentence_bad": "A leaf are new."},
    {"sentence_good": "春江花月夜。", "sentence_bad": "夜花江月春。"},
    {"sentence_good": "新叶", "sentence_bad": "新叶。流水。"},
    {"sentence_good": "the night and the river of the new song", "sentence_bad": "the night and the river of new the song"},
    {"sentence_good": " spring river", "sentence_bad": "spring river"},
]
LAST_WORDS = [
    {"context": "the spring river and the", "continuation": "moon"},
    {"context": "a leaf of\n", "continuation": "the night."},
    {"context": LONG, "continuation": "spring"},
]
LAST_CHARACTERS = [{"context": "春江花月", "continuation": "夜"}, {"context": "流水，新叶", "continuation": "明"}]
CHOOSING = 'output_type: multiple_choice\ndoc_to_text: query\ndoc_to_choice: "{{choices}}"\ndoc_to_target: gold\n'
COMPARING = 'output_type: multiple_choice\ndoc_to_text: ""\ndoc_to_choice: "{{[sentence_good, sentence_bad]}}"\ndoc_to_target: 0\n'
GOING_ON = 'output_type: loglikelihood\ndoc_to_text: context\ndoc_to_target: "{{%s + continuation}}"\n'


@dataclass(frozen=True)
class Asked:
    """One task."""

    kind: str
    delimiter: str | None  # None: whatever counts where nothing is said
    rows: list[Row]
    yaml: str
    metrics: tuple[str, ...]

    def write(self, name: str, folder: Path) -> str:
        """Its items and lm-eval's file; returns its lines of the suite."""
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows), "utf-8")
        data = {"data_files": {"test": str(path)}, "cache_dir": str(folder / "cache")}
        between = f"target_delimiter: {json.dumps(self.delimiter or '')}\n" if self.kind != "cloze" else ""
        where = f"task: {name}\ndataset_path: json\ndataset_kwargs: {json.dumps(data)}\ntest_split: test\n"
        (folder / f"{name}.yaml").write_text(
            f"{where}{self.yaml}{between}metric_list: {json.dumps([{'metric': m} for m in self.metrics])}\n"
        )
        said = "" if self.delimiter is None else f"delimiter = {json.dumps(self.delimiter)}\n"
        return f'[[task]]\nname = "{name}"\nkind = "{self.kind}"\nfiles = "{path.name}"\n{said}\n'


def tasks(written: dict[str, str]) -> dict[str, Asked]:
    """All of them; `written` is what a model goes on with from some prompts, so that it is right about something."""
    own = [{"context": prompt, "continuation": text} for prompt, text in written.items()]
    return {
        "choices": Asked("choice", " ", CHOICES, CHOOSING, ("acc", "acc_norm")),
        "chinese_choices": Asked("choice", "", CHINESE_CHOICES, CHOOSING, ("acc", "acc_norm")),
        "pairs": Asked("pairs", None, PAIRS, COMPARING, ("acc",)),
        "blimp": Asked("pairs", " ", PAIRS, COMPARING, ("acc",)),  # lm-eval's task of this name leaves its delimiter at a blank
        "last_words": Asked("cloze", " ", LAST_WORDS, GOING_ON % "' '", ("acc", "perplexity")),
        "last_characters": Asked("cloze", "", LAST_CHARACTERS + own, GOING_ON % "''", ("acc", "perplexity")),
    }
