"""Runs as they may be found: finished, unfinished, overfitted, empty, hostile. Made of arithmetic, so that they are always the same."""

import math
from dataclasses import replace
from typing import Any

from newleaf.conversion.facts import RunFacts

VERSES = {
    "en": (
        "O for a muse",
        " of fire, that would ascend\nThe brightest heaven of invention,\nA kingdom for a stage, princes to act\nAnd monarchs",
    ),
    "zh": (
        "却说林冲",
        "当夜醉倒在雪里地上，挣扎不起，被众庄客向前绑缚了，解送来一个庄院。只见一个庄客从院里出来，说道：“大官人未起，众人且把这厮高吊起在门楼下。”",
    ),
}
REASONS: dict[str, Any] = {
    "model.width": {"en": "the largest that sees 20 tokens a weight in the time", "zh": "在这段时间里，每个权重能见到 20 个词元的最大宽度"},
    "model.depth": {"en": "one layer for 64 of width", "zh": "每 64 宽度一层"},
    "data.vocab_size": {"en": "1.1 MB of text: about a thousand", "zh": "文本 1.1 MB：约一千"},
    "train.precision": {"en": "the processor has bf16 products", "zh": "处理器支持 bf16 乘法"},
    "optim.lr": "from the width",
}
FORESEEN = {"val_bpb": 1.7, "val_bpb_low": 1.5, "val_bpb_high": 1.9}


def finished(language: str = "en", steps: int = 1240) -> RunFacts:
    """Ten minutes that went well."""
    prompt, verse = VERSES[language]
    metrics = [row(step, steps) for step in range(1, steps + 1)]
    samples = [
        {"step": step, "seconds": step * 0.46, "prompt": given, "text": (verse[: 20 + len(verse) * step // steps])}
        for step in range(steps // 5, steps + 1, steps // 5)
        for given in (prompt, "")
    ]
    last = next(row for row in reversed(metrics) if "val_bpb" in row)
    summary = {
        "val_bpb": last["val_bpb"], "val_loss": last["val_loss"], "val_bytes": 111_540, "val_tokens": 40_112,
        "final_val_bpb": last["val_bpb"], "best_step": last["step"], "train_bytes": 1_003_854, "train_tokens": 361_000,
        "tokens_trained": steps * 8192, "epochs": steps * 8192 / 361_000 / 4, "steps": steps, "seconds": 598.2, "train_seconds": 541.0,
        "tokens_per_second": 18_780.0, "flops_per_second": 2.4e11, "matmul_flops_per_second": 4.1e11, "mfu": 0.585, "parameters": 3_147_264,
        "vocab_size": 1024, "context": 256, "stopped_by": "budget", "seed": 0, "exact": True, "clock_decisions": [],
        "fingerprint": "torch 2.13.0 · x86_64 AVX512 · cpu · 2 threads · 1 process", "version": "0.1.0",
        "baselines": {"uniform": 8.0, "unigram": 4.829, "fivegram": 2.408, "xz": 2.516},
        "originality": {
            "copied_share": 0.012, "longest_copy": 41, "repetition": 0.03, "distinct_1": 0.2, "distinct_2": 0.63, "tokens": 4096,
            "longest_text": verse[:12], "searched_tokens": 361_000,
            "held_out": {"copied_share": 0.0, "longest_copy": 19, "repetition": 0.02, "distinct_1": 0.2, "distinct_2": 0.7, "tokens": 3990},
        },
    }  # fmt: skip
    plan = {
        "seed": 0, "budget.minutes": 10.0, "model.family": "qwen3", "model.width": 256, "model.depth": 4, "model.heads": 4,
        "model.context": 256, "data.vocab_size": 1024, "optim.lr": 0.003, "train.batch_tokens": 8192, "train.precision": "bf16",
        "train.evaluate_every": 62,
    }  # fmt: skip
    manifest = {
        "documents": 42, "duplicates": 3, "bytes": 1_115_394, "train_bytes": 1_003_854, "val_bytes": 111_540,
        "scripts": {"latin": 810_000, "han": 1200, "digits": 4000} if language == "en" else {"han": 330_000, "latin": 2100, "digits": 900},
        "skipped": [], "skipped_counts": {}, "num_skipped": 0,
    }  # fmt: skip
    name = {"en": "shakespeare", "zh": "水浒传"}[language]
    return RunFacts(name, f"runs/{name}", "zh" if language == "zh" else "en", summary, metrics, plan, REASONS, FORESEEN, manifest, samples)


def row(step: int, steps: int) -> dict[str, Any]:
    """A line of metrics.jsonl from a smooth course of training with a little noise."""
    noise = 0.12 * math.sin(step * 12.9898) * math.cos(step * 4.1)
    loss = 3.35 + 3.6 * math.exp(-step / 60) - 0.35 * step / steps
    figures = {
        "step": step,
        "tokens": step * 8192,
        "seconds": step * 0.46,
        "loss": loss + noise,
        "grad_norm": 0.8,
        "tokens_per_second": 18_780.0,
    }
    figures["lr"] = 0.003 * min(1, step / 20, 0.02 + (steps - step) / (0.3 * steps))
    if step % max(1, steps // 20) == 0:
        figures |= {"val_loss": loss + 0.08, "val_bpb": (loss + 0.08) * 0.5188}
    return figures


def unfinished() -> RunFacts:
    """Killed at a third of its time: no final figures."""
    run = finished()
    null = {"stopped_by": None, "originality": None, "final_val_bpb": None, "best_step": 372, "val_bpb": 1.83}
    return replace(run, summary={**run.summary, **null}, metrics=run.metrics[:400], samples=run.samples[:4])


def overfitted() -> RunFacts:
    """A long run over little text, some of which could not be read, resumed elsewhere, whose samples turn in circles."""
    run = finished()
    rows = [{**one, "val_bpb": one["val_bpb"] + (one["step"] / 620) ** 2 * 0.12} if "val_bpb" in one else one for one in run.metrics]
    summary = {**run.summary, "final_val_bpb": 2.61, "val_bpb": 2.44, "best_step": 372, "epochs": 61.0, "exact": False, "val_bytes": 64_000}
    skipped = [{"source": f"scans/page-{index:03}.png", "reason": "not text"} for index in range(12)]
    manifest = {**run.manifest, "num_skipped": 14, "skipped": skipped, "skipped_counts": {"not text": 12, "empty": 2}}
    samples = [{**one, "text": "the king of the " * 20} for one in run.samples]
    return replace(run, summary=summary, metrics=rows, manifest=manifest, samples=samples)


def empty() -> RunFacts:
    """A directory whose files are all missing."""
    return RunFacts("nothing")


ATTACK = "</script></style></pre><script>alert(1)</script><img src=x onerror='alert(1)'>\"'`&\u202e\x00\ud800]]>-->"


def hostile() -> RunFacts:
    """Every text that a person, a file or a model can bring holds an attack."""
    run = finished(steps=40)
    return RunFacts(
        name=ATTACK,
        path=f"runs/{ATTACK}",
        summary={
            **run.summary,
            "originality": {"longest_copy": 3, "longest_text": ATTACK},
            "stopped_by": ATTACK,
            "fingerprint": ATTACK,
            "version": ATTACK,
        },
        metrics=[*run.metrics, {"step": 3, "loss": ATTACK, "val_bpb": math.nan}, {"step": ATTACK, "loss": 1.0}],
        plan={**run.plan, ATTACK: ATTACK, "data.column": ATTACK},
        reasons={"model.width": {"en": ATTACK, "zh": ATTACK}, "optim.lr": ATTACK, ATTACK: ATTACK},
        manifest={
            **run.manifest,
            "scripts": {"latin": 10, ATTACK: 5},
            "skipped": [{"source": ATTACK, "reason": ATTACK}],
            "skipped_counts": {ATTACK: 1},
            "repaired": [{"source": ATTACK, "repair": ATTACK}],
            "num_skipped": 1,
            "inputs": [ATTACK],
        },
        samples=[{"step": 1, "seconds": 1.0, "prompt": ATTACK, "text": ATTACK}],
    )
