"""Progress on stderr: a live line in a terminal, plain lines elsewhere; one line a stage, then the next command."""

import os
import sys
import time
from typing import Any

from newleaf.cli.table import columns, groups_table
from newleaf.conversion.uses import command_of
from newleaf.conversion.wording import BASELINES, LEARNED_LOSS, METRICS, RIVALS, Language, headline_metric, metric_shown, metric_value
from newleaf.jobs.view import View
from newleaf.runs import in_shell
from newleaf.runtime import language
from newleaf.training.plan import Plan

PLAIN_SECONDS = 10.0  # between two lines where stderr is no terminal
LIVE_SECONDS = 0.2
MOST_ASKED = 80  # characters of a question that are shown before what the model answers


class Console(View):
    """What a person sees while training."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self.chinese = language() == "zh"
        self._due, self._width, self._val, self._path, self._part = 0.0, 0, "", "", False
        self._held_out = True  # whether any of the examples is
        self._first: tuple[float, float] | None = None  # when an evaluation first told how much is done, and how much

    def event(self, en: str, zh: str) -> None:
        self._print(zh if self.chinese else en)

    def stage(self, en: str, zh: str) -> None:
        self._val, self._part = "", True
        self.event(en, zh)

    def left_out(self, source: str, reason: str, count: int) -> None:
        times = f" ({count:,})" if count > 1 else ""
        if self.chinese:
            from newleaf.cli.chinese import reason as in_chinese

            self._print(f"略去 {source}：{in_chinese(reason)}{times}")
        else:
            self._print(f"left out {source}: {reason}{times}")

    def plan(self, path: str, plan: Plan, manifest: dict[str, Any], groups: list[dict[str, Any]]) -> None:
        self._path, self._held_out = path, manifest.get("held_out") is not False
        if self._part:  # one of several plans: it stands in its folder
            steps, rows = f"{plan.last_step:,}", f"{plan.batch_rows:,}"
            self.event(f"{path}: {steps} steps planned, {rows} examples in each", f"{path}：计划走 {steps} 步，每步 {rows} 个样例")
            return
        config, train, skipped = plan.config, plan.recipe.train, manifest.get("num_skipped", 0)
        if skipped:
            self.event(
                f"left out {skipped:,} files or rows (data/manifest.json names them, each with its reason)",
                f"略去 {skipped:,} 个文件或行（名单和原因见 data/manifest.json）",
            )
        self.event(
            f"{plan.foreseen['parameters']:,.0f} parameters: depth {config.depth}, width {config.width}, vocabulary {config.vocab_size:,}, "
            f"context {config.context}, {plan.batch_tokens:,} tokens a step, {train.precision}, {train.threads} threads",
            f"{plan.foreseen['parameters']:,.0f} 个参数：{config.depth} 层，宽 {config.width}，词表 {config.vocab_size:,}，"
            f"上下文 {config.context}，每步 {plan.batch_tokens:,} 个词元，{train.precision}，{train.threads} 线程",
        )
        for name, sentence in plan.explained(self.chinese).items():
            self._print(f"  {name}{'：' if self.chinese else ': '}{sentence}")
        for line in groups_table(groups, self.chinese):
            self._print(f"  {line}")

    def step(self, row: dict[str, Any], figures: dict[str, Any]) -> None:
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + (LIVE_SECONDS if self.live else PLAIN_SECONDS)
        bpb, speed, left = self._val, f"{row['tokens_per_second']:,.0f}", clock_time(figures["seconds_left"])
        line = (
            f"第 {row['step']:,} 步 · {figures['progress']:.0%} · 损失 {row['loss']:.3f}{bpb} · 每秒 {speed} 词元 · "
            f"矩阵速率的 {figures['mfu']:.0%} · 还剩 {left}"
            if self.chinese
            else f"step {row['step']:,} · {figures['progress']:.0%} · loss {row['loss']:.3f}{bpb} · {speed} tokens/s · "
            f"{figures['mfu']:.0%} of the matrix rate · {left} left"
        )
        self._progress(line)

    def share(self, share: float) -> None:
        """How much of an evaluation is done; of one that is soon over nothing is heard."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._due = (now, share), now + PLAIN_SECONDS
        elif now >= self._due:
            self._due = now + (LIVE_SECONDS if self.live else PLAIN_SECONDS)
            began, before = self._first
            left = clock_time((now - began) * (1 - share) / max(share - before, 1e-9))
            self._progress(f"已评估 {share:.0%} · 还剩 {left}" if self.chinese else f"evaluated {share:.0%} · {left} left")

    def evaluation(self, step: int, val_bpb: float, best: bool) -> None:
        self._val = f" · 每字节 {val_bpb:.3f} 比特" if self.chinese else f" · {val_bpb:.3f} bits/byte"
        if not self.live:
            self.event(
                f"step {step:,} · held-out {val_bpb:.4f} bits/byte{' (best so far)' if best else ''}",
                f"第 {step:,} 步 · 留出文本每字节 {val_bpb:.4f} 比特{'（目前最好）' if best else ''}",
            )

    def loss(self, step: int, val_loss: float, best: bool) -> None:
        self._val = f" · 留出损失 {val_loss:.3f}" if self.chinese else f" · held-out loss {val_loss:.3f}"
        if not self.live:
            self.event(
                f"step {step:,} · held-out loss {val_loss:.4f}{' (best so far)' if best else ''}",
                f"第 {step:,} 步 · 留出损失 {val_loss:.4f}{'（目前最好）' if best else ''}",
            )

    def sample(self, step: int, prompt: str, text: str) -> None:
        if self._part:
            return
        asked = prompt if len(prompt) <= MOST_ASKED else f"{prompt[:MOST_ASKED]}… "  # the answer is what is looked for
        shown = " ".join(printable(asked + "‸" + text).split())[:160]
        self.event(f"sample at step {step:,}: {shown}", f"第 {step:,} 步的样本：{shown}")

    def done(self, summary: dict[str, Any]) -> None:
        """The last lines of a run that was trained: the figure, and what to type next."""
        self.close()
        if not self._path:
            return
        if "task" in summary:
            self._task_done(summary)
            return
        known = [(name, words, f"{summary['baselines'][name]:.3f}") for name, words in BASELINES.items() if name in summary["baselines"]]
        beside_en = ", ".join(f"{name} {value}" for name, _, value in known if name != "uniform")
        beside_zh = "，".join(f"{words.zh} {value}" for name, words, value in known if name != "uniform")
        seconds, share, bpb = f"{summary['seconds']:.0f}", f"{summary['mfu'] or 0:.0%}", f"{summary['val_bpb']:.4f}"
        self.event(
            f"held out: {bpb} bits per byte ({beside_en}) after {seconds} s, at {share} of the matrix rate",
            f"留出文本：每字节 {bpb} 比特（{beside_zh}），用时 {seconds} 秒，达到矩阵速率的 {share}",
        )
        path, typed, short = self._path, in_shell(self._path), f"{summary['val_bpb']:.3f}"
        early = summary["stopped_by"] == "text"
        self.event(
            f"saved {path} ({short} bits/byte) — report: {path}/report.html — try: newleaf generate {typed}"
            + (" — ended early: more text would help, more minutes would not" if early else ""),
            f"已存入 {path}（每字节 {short} 比特）— 报告：{path}/report.html — 试试：newleaf generate {typed}"
            + (" — 提前结束：再多的时间也无益，需要更多文本" if early else ""),
        )

    def _task_done(self, summary: dict[str, Any]) -> None:
        """The same of a task: its first figure, beside what it has to beat."""
        metrics, path, typed = summary["metrics"], self._path, in_shell(self._path)
        main = headline_metric(metrics)
        own = metric_value({"val_loss": summary["val_loss"], **metrics}, main) or 0.0
        known = {name: value for name, row in summary["baselines"].items() if (value := metric_value(row, main)) is not None}
        language: Language = "zh" if self.chinese else "en"
        beside = [f"{RIVALS[name].say(language)} {metric_shown(main, value)}" for name, value in known.items()]
        name = METRICS[main] if self._held_out or main != "val_loss" else LEARNED_LOSS
        figure = f"{name.say(language)} {metric_shown(main, own)}"
        self.event(
            ("held out: " if self._held_out else "by heart: ") + figure + (f" ({', '.join(beside)})" if beside else ""),
            ("留出样例：" if self._held_out else "所学样例：") + figure + (f"（{'，'.join(beside)}）" if beside else ""),
        )
        last = command_of(summary["task"], typed)
        self.event(f"saved {path} — report: {path}/report.html — try: {last}", f"已存入 {path} — 报告：{path}/report.html — 试试：{last}")

    def close(self) -> None:
        """Leave the live line."""
        if self._width:
            sys.stderr.write("\n")
            self._width = 0

    def erase(self) -> None:
        """Take the live line away."""
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
            self._width = 0

    def _progress(self, line: str) -> None:
        if not self.live:
            self._print(line)
            return
        sys.stderr.write("\r" + line + " " * (self._width - columns(line)))
        sys.stderr.flush()
        self._width = columns(line)

    def _print(self, line: str) -> None:
        self.erase()
        print(" ".join(line.splitlines()), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Model output for a terminal: control characters, escape sequences among them, are shown and never obeyed."""
    return "".join(c if c in "\n\t" or c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def clock_time(seconds: float) -> str:
    """Minutes and seconds.

    >>> clock_time(75), clock_time(3725)
    ('1:15', '1:02:05')
    """
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
