"""Numbers and names as a person reads them, in English and in Chinese. Shared by the report and the model card."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Language = Literal["en", "zh"]


@dataclass(frozen=True)
class Words:
    """The same thing said in both languages; `code` stands between backticks.

    >>> Words("step", "步").say("zh")
    '步'
    """

    en: str
    zh: str

    def say(self, language: Language) -> str:
        """The one of the two."""
        return self.zh if language == "zh" else self.en


BASELINES = {
    "uniform": Words("guessing blindly", "盲猜"),
    "unigram": Words("byte frequencies", "单字节频率"),
    "fivegram": Words("5-gram counts", "五元计数"),
    "xz": Words("the xz compressor", "xz 压缩"),
}

TASKS = {
    "chat": Words("chat", "对话"),
    "instruct": Words("following instructions", "按指令回答"),
    "classify": Words("classification", "分类"),
    "translate": Words("translation", "翻译"),
    "summarize": Words("summaries", "摘要"),
    "qa": Words("question answering", "问答"),
    "rewrite": Words("rewriting", "改写"),
    "complete": Words("completion", "补全"),
    "prefer": Words("preferring the better answer", "偏好更好的回答"),
}

METRICS = {  # of tasks
    "accuracy": Words("accuracy", "准确率"),
    "chrf": Words("chrF", "chrF"),
    "rouge_l": Words("ROUGE-L", "ROUGE-L"),
    "f1": Words("F1", "F1"),
    "reward_accuracy": Words("the better answer gains more", "更好的回答涨得更多（占比）"),
    "recall_at_1": Words("the right passage comes first", "正确段落排第一"),
    "recall_at_10": Words("the right passage is among the first ten", "正确段落在前十"),
    "accuracy_norm": Words("accuracy, lengths allowed for", "准确率（按长度归一）"),
    "macro_f1": Words("macro F1", "宏平均 F1"),
    "bleu": Words("BLEU", "BLEU"),
    "exact_match": Words("exact match", "完全一致"),
    "stops": Words("answers that end by themselves", "自行结束的回答"),
    "calibration_error": Words("calibration error", "校准误差"),
    "margin": Words("margin of reward", "奖励差"),
    "perplexity": Words("perplexity of what follows", "续文的困惑度"),
    "val_loss": Words("held-out loss", "留出损失"),
}
LEARNED_LOSS = Words("loss on what it learned", "所学样例上的损失")  # instead of the last one, where nothing is held out
BY_HEART = Words(
    "There were too few examples to hold any out: these are figures of what it learned by heart, not of what it can do.",
    "样例太少，没有留出：这些是它背下来的内容的成绩，不说明它会不会。",
)

RIVALS = {
    "untuned": Words("the model before it was tuned", "调优之前的模型"),
    "majority": Words("always the most frequent label", "总猜最常见的标签"),
    "tfidf": Words("TF-IDF with logistic regression", "TF-IDF 加逻辑回归"),
    "from scratch": Words("the same model from nothing", "同样大小、从零开始的模型"),
    "bm25": Words("BM25", "BM25"),
    "tf-idf": Words("TF-IDF", "TF-IDF"),
    "copy the input": Words("copying the input", "照抄输入"),
    "the likelier answer": Words("taking the likelier answer", "取概率更高的回答"),
    "the longer answer": Words("taking the longer answer", "取更长的回答"),
}

COPIED_TOKENS = 32  # in a row, equal to what was learned from: where text is not a form, no chance
LOWER_IS_BETTER = ("val_loss", "calibration_error", "perplexity")
NO_HEADLINE = ("stops", "calibration_error", "margin", "perplexity")  # say nothing of how good answers are

SCRIPTS = {
    "latin": Words("Latin", "拉丁字母"),
    "han": Words("Chinese characters", "汉字"),
    "kana": Words("Japanese kana", "日文假名"),
    "hangul": Words("Korean", "韩文"),
    "cyrillic": Words("Cyrillic", "西里尔字母"),
    "digits": Words("digits", "数字"),
    "other": Words("other", "其他"),
}

SETTINGS = {
    "from": Words("goes on from", "接着这个模型训练"),
    "model.family": Words("shape of the model", "模型形状"),
    "model.width": Words("width", "宽度"),
    "model.depth": Words("layers", "层数"),
    "model.heads": Words("attention heads", "注意力头数"),
    "model.kv_heads": Words("key-value heads", "键值头数"),
    "model.head_dim": Words("size of a head", "每头维数"),
    "model.mlp": Words("feed-forward layer", "前馈层"),
    "model.mlp_width": Words("width of the feed-forward layer", "前馈层宽度"),
    "model.context": Words("context, in tokens", "上下文长度（词元）"),
    "model.tied": Words("output shares the embedding", "输出与嵌入共用权重"),
    "data.vocab_size": Words("vocabulary", "词表大小"),
    "optim.lr": Words("learning rate", "学习率"),
    "optim.weight_decay": Words("weight decay", "权重衰减"),
    "optim.warmup_steps": Words("steps of warm-up", "预热步数"),
    "optim.decay_fraction": Words("share of the run that cools down", "降温阶段占比"),
    "train.batch_tokens": Words("tokens a step", "每步词元数"),
    "train.micro_batch": Words("rows at once", "一次处理的行数"),
    "train.precision": Words("type of matrix products", "矩阵乘法精度"),
    "train.threads": Words("processor threads", "处理器线程数"),
    "train.dropout": Words("dropout", "随机失活"),
    "train.evaluate_every": Words("steps between evaluations", "评估间隔（步）"),
    "train.checkpoint_every": Words("steps between checkpoints", "检查点间隔（步）"),
    "train.sample_every": Words("steps between samples", "采样间隔（步）"),
    "seed": Words("seed", "随机种子"),
    "budget.minutes": Words("budget in minutes", "预算（分钟）"),
    "budget.steps": Words("budget in steps", "预算（步）"),
    "budget.tokens": Words("budget in tokens", "预算（词元）"),
    "budget.epochs": Words("times through the text", "预算（遍）"),
}

REASONS = {  # beginnings of the common ones; others are shown as they are
    "not text": "不是文本",
    "text in an encoding": "无法识别的文字编码（请存成 UTF-8）",
    "empty": "没有内容",
    "hidden": "隐藏的文件或文件夹",
    "a run of newleaf": "新叶的训练目录，不是文本",
    "broken JSON": "JSON 格式有误",
    "changed while": "读取过程中被改动",
}

SHARE_THE_EXPORT = Words(
    "Share the export, not the run: `data/` holds your text.", "请分享导出的模型，而不是整个运行目录：`data/` 里有你的原文。"
)


def reason(english: str) -> Words:
    """Why something was left out.

    >>> reason("not text (a PDF)"), reason("a socket")
    (Words(en='not text (a PDF)', zh='不是文本 (a PDF)'), Words(en='a socket', zh='a socket'))
    """
    beginning = next((known for known in REASONS if english.startswith(known)), None)
    if beginning is None:
        return Words(english, english)
    detail = english[english.find("(") - 1 :] if beginning == "not text" and "(" in english else ""
    return Words(english, REASONS[beginning] + detail)


def count(number: float) -> str:
    """
    >>> count(1234567)
    '1,234,567'
    """
    return f"{number:,.0f}"


def amount(number: float) -> Words:
    """A large number, rounded.

    >>> amount(3_145_728)
    Words(en='3.1 million', zh='315 万')
    """
    english = next(
        (f"{significant(number / unit)} {name}" for unit, name in ((1e9, "billion"), (1e6, "million")) if number >= unit), count(number)
    )
    chinese = next(
        (f"{significant(number / unit, 3)} {name}" for unit, name in ((1e8, "亿"), (1e4, "万")) if number >= unit), count(number)
    )
    return Words(english, chinese)


def significant(number: float, digits: int = 2) -> str:
    """Rounded to `digits` where there are fewer before the point, without a useless zero at the end.

    >>> significant(3.14159), significant(31.4159), significant(314.159), significant(2.0)
    ('3.1', '31', '314', '2')
    """
    whole = len(str(int(abs(number))))
    text = f"{number:,.{max(0, digits - whole)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def size(num_bytes: float) -> str:
    """
    >>> size(512), size(1_115_394), size(4_000_000_000)
    ('512 B', '1.12 MB', '4 GB')
    """
    unit, name = next(((unit, name) for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")) if num_bytes >= unit), (1, "B"))
    return f"{significant(num_bytes / unit, 3)} {name}"


def duration(seconds: float) -> Words:
    """
    >>> duration(42).en, duration(605).zh, duration(7260).en
    ('42 s', '10 分 5 秒', '2 h 1 min')
    """
    hours, rest = divmod(round(seconds), 3600)
    minutes, rest = divmod(rest, 60)
    parts = [(hours, "h", "小时"), (minutes, "min", "分"), (rest, "s", "秒")]
    kept = [part for part in parts if part[0]][:2] or [(0, "s", "秒")]
    return Words(" ".join(f"{n} {en}" for n, en, _ in kept), " ".join(f"{n} {zh}" for n, _, zh in kept))


def percent(share: float) -> str:
    """
    >>> percent(0.4219), percent(0.0042), percent(0)
    ('42%', '0.4%', '0%')
    """
    return "0%" if not share else f"{100 * share:.{0 if share >= 0.0995 else 1}f}%"


def operations(rate: float) -> str:
    """
    >>> operations(2.1e11)
    '210 GFLOP/s'
    """
    unit, name = (1e12, "TFLOP/s") if rate >= 1e12 else (1e9, "GFLOP/s")
    return f"{significant(rate / unit)} {name}"


def languages(scripts: Mapping[str, Any]) -> list[str]:
    """The languages that the letters of a text suggest, the most frequent first: a guess, Latin letters are many languages.

    >>> languages({"han": 900, "latin": 100}), languages({"han": 40, "kana": 60}), languages({})
    (['zh', 'en'], ['ja'], [])
    """
    letters = {name: n for name, n in scripts.items() if name not in ("digits", "other") and isinstance(n, int | float)}
    total = sum(letters.values())
    japanese = letters.get("kana", 0) >= 0.05 * total
    codes = {"latin": "en", "han": "ja" if japanese else "zh", "kana": "ja", "hangul": "ko", "cyrillic": "ru"}
    frequent = sorted((name for name in letters if letters[name] >= 0.05 * total and letters[name]), key=lambda name: -letters[name])
    return list(dict.fromkeys(codes[name] for name in frequent if name in codes))


def copied(found: Mapping[str, Any], task: bool = False) -> Words:
    """How much of what a model writes stands in what it learned from, and how that is with people's text.

    >>> copied({"copied_share": 0.25, "longest_copy": 80, "held_out": {"copied_share": 0.0, "longest_copy": 9}}).en
    '25% of what it writes stands word for word in the training text, 32 tokens in a row or more; the longest stretch is 80 tokens. Of the \
held-out text, which people wrote, it is 0%, and 9 tokens.'
    """
    beside = found.get("held_out") or {}
    share, theirs = (None if row.get("copied_share") is None else percent(row["copied_share"]) for row in (found, beside))
    longest, other = found.get("longest_copy", 0), beside.get("longest_copy", 0)
    texts = (
        (Words("its answers", "它的回答"), Words("answers that it learned from", "训练样例的回答"), Words("the right answers", "标准答案"))
        if task
        else (
            Words("what it writes", "它写的文字"),
            Words("training text", "训练文本"),
            Words("the held-out text, which people wrote,", "人写的留出文本"),
        )
    )
    own, source, people = texts
    if share is None:
        english = f"The longest stretch of {own.en} that stands in the {source.en} is {count(longest)} tokens; of {people.en} "
        return Words(
            f"{english.rstrip(' ,')} it is {count(other)}.",
            f"{own.zh}里，与{source.zh}一字不差的最长一段有 {count(longest)} 个词元；{people.zh}里是 {count(other)} 个。",
        )
    english = (
        f"{share} of {own.en} stands word for word in the {source.en}, {COPIED_TOKENS} tokens in a row or more; the longest stretch is "
        f"{count(longest)} tokens."
    )
    chinese = f"{own.zh}里，有 {share} 与{source.zh}一字不差（连续 {COPIED_TOKENS} 个词元以上）；最长的一段有 {count(longest)} 个词元。"
    if theirs is None:
        return Words(english, chinese)
    return Words(
        f"{english} Of {people.en} it is {theirs}, and {count(other)} tokens.",
        f"{chinese}作为对照，{people.zh}里是 {theirs}，最长 {count(other)} 个词元。",
    )


def headline_metric(metrics: Mapping[str, Any]) -> str:
    """The figure by which a task is judged: its first, or the held-out loss where it has none of its own.

    >>> headline_metric({"stops": {}, "chrf": {}}), headline_metric({"stops": {}})
    ('chrf', 'val_loss')
    """
    return next((name for name in metrics if name in METRICS and name not in NO_HEADLINE), "val_loss")


def metric_value(row: Mapping[str, Any], metric: str) -> float | None:
    """Of a model or of a rival; None where it has none."""
    found = row.get(metric)
    value = found.get("value") if isinstance(found, Mapping) else found
    return float(value) if isinstance(value, int | float) else None


def metric_shown(metric: str, value: float) -> str:
    """As people write this figure.

    >>> metric_shown("accuracy", 0.8567), metric_shown("chrf", 23.456), metric_shown("val_loss", 1.23456)
    ('85.7 %', '23.5', '1.235')
    """
    if metric in ("accuracy", "accuracy_norm", "macro_f1", "rouge_l", "f1", "exact_match", "stops", "reward_accuracy"):
        return f"{100 * value:.1f} %"
    return f"{value:.1f}" if metric in ("chrf", "bleu") else f"{value:.3f}"
