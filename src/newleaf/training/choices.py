"""Bytes, machine and budget in; every setting out, each with its reason. What the person has set stands. Imports no torch.

The size of the model is the one that the scaling law (scaling.py) expects to end lowest, among those that the machine can train in
the time (costs.py). Every constant has its origin beside it; this file is built to be replaced by a better one.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from newleaf.errors import SettingError, UsageError
from newleaf.model import size
from newleaf.model.config import ModelConfig, preset
from newleaf.optim.settings import NEW_RATES
from newleaf.runtime import Machine
from newleaf.settings import build, leaves
from newleaf.training.base import StartingPoint, going_on_rate
from newleaf.training.clock import Budget
from newleaf.training.costs import peak_bytes, step_seconds
from newleaf.training.plan import Plan, Reason, TextFacts
from newleaf.training.reading import bytes_read, held_out_bytes, tokenizer_bytes
from newleaf.training.scaling import affordable_parameters, excess_loss, worth_of
from newleaf.training.settings import Recipe
from newleaf.workers import num_workers

YOURS = ("you set it", "由你指定")
LADDER = (  # depth and width of what may be chosen; at one size the shallower model is trained in less time, the deeper one learns more
    (1, 64), (2, 64), (3, 64), (2, 128), (3, 128), (4, 128), (3, 192), (4, 192), (4, 256), (5, 256), (5, 320), (6, 384), (8, 512),
    (10, 640), (12, 768), (16, 1024), (24, 1536), (32, 2048),
)  # fmt: skip
SMALL_HEADS = 384  # below this width heads are 32 wide: 0.6 % fewer bits than 64 at the width of 128 (lab/LOG.md, 2026-11-24)
TRAINING_SHARE = 0.88  # of what is left of a budget in minutes when training begins; the rest goes into evaluations, samples, saving
BATCH_TOKENS, BATCH_TOKENS_SEEN = 2048, 1.2e6  # so many at so many seen, or as many fresh as these are worth; else as their root, from half
OFTEN = 3.0  # readings of the text, from which on there is dropout and more weight decay
DROPOUT_A_READING, MOST_DROPOUT = 0.02, 0.2  # 0.1 was best at 5 readings, 0.2 from 9 to 21 (lab/LOG.md, 2026-11-25)
WEIGHT_DECAY, WEIGHT_DECAY_OFTEN = 0.1, 0.5  # the second gains 0.2 to 4 % where a text is read 5 to 21 times (lab/LOG.md, 2026-11-25)
ADAPTER_RATE, LEAST_ADAPTER_PART = 0.003, 0.05  # 0.01 learns nothing more (lab/LOG.md, 2026-11-26); large models take 2e-4 as a rule
MOST_MEMORY, MOST_MEMORY_AT_ONCE = 0.8, 0.5  # of the machine's
TOKENS_AT_ONCE = 2048  # in work in each thread of a CPU: more take more memory, and no less time (lab/LOG.md, 2026-11-27)


@dataclass
class Choices:
    """The choices of one plan as they are made."""

    text: TextFacts
    budget: Budget
    machine: Machine
    recipe: Recipe
    start_seconds: float  # of a budget in minutes, what is gone before step 0
    base: StartingPoint | None = None  # a model to go on from: its shape and its tokenizer stand
    reasons: dict[str, Reason] = field(default_factory=dict)

    def say(self, setting: str, en: str, zh: str) -> None:
        """Why a setting is what it is."""
        self.reasons[setting] = (en, zh)


def make_plan(
    text: TextFacts,
    budget: Budget,
    machine: Machine,
    recipe: Recipe,
    seed: int,
    start_seconds: float = 0.0,
    base: StartingPoint | None = None,
) -> Plan:
    """Fill every absent setting. UsageError where nothing fits the memory, SettingError for settings that exclude one another."""
    c = Choices(text, budget, machine, recipe, start_seconds, base)
    config, batch_tokens, last_step = choose_model(c, choose_context(c))
    values: dict[str, Any] = {
        f"model.{name}": getattr(config, name) for name in ("width", "depth", "heads", "kv_heads", "head_dim", "mlp", "context", "tied")
    }
    family = recipe.model.family or ("qwen3" if base is None else config.family)
    values |= {"model.family": family, "data.vocab_size": text.vocab_size}
    values |= {
        "train.batch_tokens": batch_tokens,
        "train.precision": machine.precision,
        "train.threads": machine.threads,
        "train.dropout": choose_dropout(c, last_step * batch_tokens),
        "train.micro_batch": choose_micro_batch(c, config, batch_tokens),
    }
    values |= choose_rhythm(c, config, batch_tokens, last_step) | choose_optim(c, last_step, batch_tokens)
    explain_the_rest(c)
    values |= (chosen := dict(leaves(recipe)))
    ours = {"data.held_out_bytes": held_out_bytes(budget), "data.tokenizer_bytes": tokenizer_bytes(budget)}  # filled in beforehand
    reasons = c.reasons | {name: YOURS for name, value in chosen.items() if name in c.reasons and ours.get(name) != value}
    whole, known = (base.config, base.base) if base else (config, None)
    plan = Plan(seed, budget, build(Recipe, values), whole, last_step, reasons, base=known)
    return replace(plan, foreseen=foresee(plan, c))


# size -------------------------------------------------------------------------------------------------------------------


def choose_context(c: Choices) -> int:
    """Short windows learn faster, long ones further; never much of a short text."""
    if c.recipe.model.context is not None:
        if c.base and c.recipe.model.context > c.base.config.context:
            most = f"at most {c.base.config.context}, what the model can look at"
            raise SettingError(f"model.context is {c.recipe.model.context}", where="model.context", expected=most)
        return c.recipe.model.context
    minutes = c.budget.minutes if c.budget.minutes is not None else 10.0
    wanted = 64 if minutes < 0.1 else 128 if minutes < 3 else 256 if minutes <= 30 else 512
    context = min(wanted, max(16, 1 << (max(2, c.text.train_tokens // 4)).bit_length() - 1), c.base.config.context if c.base else wanted)
    c.say(
        "model.context",
        "short windows learn faster, long ones further: as long as the budget allows",
        "窗口短学得快，窗口长看得远：在预算允许的范围内取长",
    )
    return context


def candidates(recipe: Recipe, vocab_size: int, context: int) -> Iterator[ModelConfig]:
    """The ladder of shapes, with what the person has set standing."""
    chosen = recipe.model
    axes = {name: getattr(chosen, name) for name in ("kv_heads", "mlp", "tied", "heads", "head_dim") if getattr(chosen, name) is not None}
    ladder = LADDER if chosen.width is None or chosen.depth is None else ((chosen.depth, chosen.width),)
    refused: SettingError | None = None
    found = 0
    for depth, width in ladder:
        sizes = {"width": chosen.width or width, "depth": chosen.depth or depth}
        small = (
            {"head_dim": 32}
            if not {"heads", "head_dim"} & axes.keys() and sizes["width"] < SMALL_HEADS and sizes["width"] % 32 == 0
            else {}
        )
        try:
            config = preset(chosen.family or "qwen3", vocab_size=vocab_size, context=context, **sizes, **axes, **small)
        except SettingError as error:  # these heads do not go with this width
            refused = error
            continue
        found += 1
        yield config
    if refused is not None and not found:
        raise refused


def choose_model(c: Choices, context: int) -> tuple[ModelConfig, int, int]:
    """(shape, tokens a step, steps) of the candidate that the scaling law expects to end lowest in the time that there is.

    A budget that names no time says how many tokens: then it is the candidate for which they are enough, as a larger one would
    always end lower, and take for ever.
    """
    best: tuple[float, ModelConfig, int, int] | None = None
    for config in [c.base.shape(c.recipe, c.text.vocab_size, context)] if c.base else candidates(c.recipe, c.text.vocab_size, context):
        if peak_bytes(config, context, c.machine, c.recipe.tune) > MOST_MEMORY * c.machine.memory_bytes:
            break
        batch_tokens, last_step = batch_and_steps(c, config)
        weights, tokens = size.matmul_weights(config), batch_tokens * last_step
        if c.budget.seconds is not None:
            rank = excess_loss(weights, tokens, max(1, c.text.train_tokens))
        else:
            rank = abs(math.log(weights / affordable_parameters(tokens, max(1, c.text.train_tokens))))
        if best is None or rank < best[0]:
            best = (rank, config, batch_tokens, last_step)
    if best is None:
        raise UsageError(
            f"the smallest model that these settings allow does not fit into {c.machine.memory_bytes / 1e9:.1f} GB of memory",
            expected="a smaller model.width, model.depth or data.vocab_size",
        )
    _, config, batch_tokens, last_step = best
    tokens = batch_tokens * last_step
    parameters, epochs = size.parameters(config), tokens / max(1, c.text.train_tokens)
    if c.base is not None:
        explain_the_base(c, c.base, tokens, epochs)
        return config, batch_tokens, last_step
    c.say(
        "model.width",
        f"{parameters:,} parameters learn most from the {tokens:,} tokens ({epochs:.1f} times the text) of this budget",
        f"这份预算能看 {tokens:,} 个词元（全文 {epochs:.1f} 遍），{parameters:,} 个参数学得最好",
    )
    c.say("model.depth", "follows the width", "随宽度而定")
    c.say("model.heads", f"heads of {config.head_dim}", f"每个头 {config.head_dim} 维")
    c.say("train.batch_tokens", "small batches take more steps in the same time", "批次小，同样时间里走的步数多")
    return config, batch_tokens, last_step


def explain_the_base(c: Choices, base: StartingPoint, tokens: int, epochs: float) -> None:
    parameters, cost = size.parameters(base.config), c.text.han_tokens
    c.say(
        "from",
        f"its {parameters:,} parameters go on with {tokens:,} tokens ({epochs:.1f} times the text); its tokenizer of {c.text.vocab_size:,} "
        f"stays, in which a Chinese character costs {cost:.2f} tokens",
        f"它的 {parameters:,} 个参数接着学 {tokens:,} 个词元（全文 {epochs:.1f} 遍）；词表不变（{c.text.vocab_size:,} 个），"
        f"一个汉字在其中要用 {cost:.2f} 个词元",
    )
    c.say("train.batch_tokens", "small batches take more steps in the same time", "批次小，同样时间里走的步数多")


def batch_and_steps(c: Choices, config: ModelConfig) -> tuple[int, int]:
    """Tokens a step, a multiple of the context, and the steps that the budget has room for."""
    context, chosen = config.context, c.recipe.train.batch_tokens
    if chosen is not None and chosen % context:
        raise SettingError(
            f"train.batch_tokens {chosen} is not a multiple of the context", where="train.batch_tokens", expected=f"a multiple of {context}"
        )
    batch_tokens = chosen or max(1, round(min(BATCH_TOKENS, max(context, c.text.train_tokens // 4)) / context)) * context
    steps = steps_in(c, config, batch_tokens)
    if chosen is None:
        worth = worth_of(batch_tokens * steps, max(1, c.text.train_tokens))
        wanted = max(BATCH_TOKENS / 2, batch_tokens * math.sqrt(worth / BATCH_TOKENS_SEEN))
        batch_tokens = max(1, min(round(wanted / context), c.text.train_tokens // 4 // context)) * context
        steps = steps_in(c, config, batch_tokens)
    return batch_tokens, steps


def steps_in(c: Choices, config: ModelConfig, batch_tokens: int) -> int:
    """Of the budget."""
    steps = c.budget.in_steps(batch_tokens, c.text.train_tokens)
    if steps is not None:
        return steps
    assert c.budget.seconds is not None
    return max(10, int(TRAINING_SHARE * (c.budget.seconds - c.start_seconds) / step_seconds(config, c.machine, batch_tokens)))


def choose_micro_batch(c: Choices, config: ModelConfig, batch_tokens: int) -> int:
    """Rows at once: the whole batch, or as much of it as half of the memory holds; on a CPU no more than it works on without waiting for
    memory, since more is no faster."""
    rows = batch_tokens // config.context
    if c.machine.device == "cpu":
        workers = num_workers(c.machine.device, c.machine.threads)
        rows = min(rows, workers * max(1, TOKENS_AT_ONCE // config.context))
    while rows > 1 and peak_bytes(config, rows * config.context, c.machine, c.recipe.tune) > MOST_MEMORY_AT_ONCE * c.machine.memory_bytes:
        rows = -(-rows // 2)
    c.say("train.micro_batch", "as much of a batch as is quick, and as half of the memory holds", "取批次中算得快、一半内存也放得下的部分")
    return rows


# training ---------------------------------------------------------------------------------------------------------------


def choose_dropout(c: Choices, tokens: int) -> float:
    """A fiftieth for each time that the text is read, up to 0.2; none where most text is new."""
    epochs = tokens / max(1, c.text.train_tokens)
    c.say("train.dropout", f"the text is read {epochs:.1f} times", f"全文要读 {epochs:.1f} 遍")
    return 0.0 if epochs < OFTEN else min(MOST_DROPOUT, round(DROPOUT_A_READING * epochs, 2))


def choose_optim(c: Choices, last_step: int, batch_tokens: int) -> dict[str, Any]:
    """Rates for Muon and AdamW, warm-up and decay."""
    c.say(
        "optim.kind", "Muon learns most from few steps; tables and norms take AdamW", "步数少时 Muon 学得最多；嵌入、输出层和归一化用 AdamW"
    )
    part = 1.0
    if c.base is None:
        c.say("optim.lr", "the best of a search on small texts, for every size", "在小文本上搜索到的最好值，各种大小都用它")
    else:
        part = going_on_rate(last_step * batch_tokens, size.parameters(c.base.config))
        c.say(
            "optim.lr",
            f"{part:.2g} of a new model's: the root of the tokens a parameter that the budget has; more learns faster and forgets more",
            f"新模型的 {part:.2g} 倍：预算中每个参数分到的词元数的平方根；大些学得快，也忘得多",
        )
    rates = {f"optim.{name}": rate * part for name, rate in NEW_RATES.items()}
    if c.recipe.tune.rank:
        rates["optim.lr"] = ADAPTER_RATE * max(LEAST_ADAPTER_PART, part)
        c.say("optim.lr", "adapters of AdamW learn best with half of a new model's rate", "用 AdamW 的适配器，取新模型的一半最好")
    often = last_step * batch_tokens / max(1, c.text.train_tokens) >= OFTEN
    if often:
        c.say("optim.weight_decay", "more than usual, because the text is read again and again", "比通常大，因为文本要反复读")
    else:
        c.say("optim.weight_decay", "a tenth, as is usual", "通常取十分之一")
    c.say("optim.warmup_steps", "the first twentieth, at most 100 steps", "开头的二十分之一，最多 100 步")
    c.say(
        "optim.decay_fraction",
        "the last part cools down; the trunk before it is kept for --extend",
        "最后一段降温；之前的主干留给 --extend",
    )
    return {
        "optim.kind": "muon",
        **rates,
        "optim.weight_decay": WEIGHT_DECAY_OFTEN if often else WEIGHT_DECAY,
        "optim.decay_fraction": 0.4,
        "optim.warmup_steps": max(1, min(100, last_step // 20)),
    }


def choose_rhythm(c: Choices, config: ModelConfig, batch_tokens: int, last_step: int) -> dict[str, int]:
    """When to evaluate and on how much, when to save, when to show a sample."""
    evaluations = max(1, min(20, last_step // 10))
    samples = 5 if (c.budget.minutes or 10) >= 3 else 2
    c.say("train.evaluate_every", "about twenty evaluations in the run", "全程评估约二十次")
    c.say("train.evaluation_tokens", "enough to choose by, at a thirtieth of the cost of training", "够比出好坏，开销只有训练的三十分之一")
    c.say("train.checkpoint_every", "about one a minute, ten a run at least", "约每分钟一次，全程至少十次")
    c.say("train.sample_every", f"{samples} times in the run", f"全程 {samples} 次")
    return {
        "train.evaluate_every": max(1, last_step // evaluations),
        "train.evaluation_tokens": min(c.text.val_tokens, max(8 * config.context, last_step * batch_tokens // 400)),
        "train.checkpoint_every": max(1, round(last_step / max(10.0, c.budget.minutes or 0.0))),
        "train.sample_every": max(1, last_step // samples),
    }


def explain_the_rest(c: Choices) -> None:
    """What was settled before the plan."""
    read = bytes_read(c.budget, c.text.train_bytes)
    if c.base is None:
        c.say(
            "data.vocab_size",
            f"the {read:,} bytes that are read of the text carry about this many tokens",
            f"文本会读到 {read:,} 字节，大约撑得起这么大的词表",
        )
    if c.machine.precision == "bf16":
        c.say("train.precision", "this processor multiplies bf16 faster than float32", "这颗处理器算 bf16 比 float32 快")
    else:
        c.say(
            "train.precision",
            "bf16 products are not fast enough here to pay for rounding to them",
            "这颗处理器的 bf16 乘法不够快，抵不上舍入的开销",
        )
    c.say("train.threads", "every core that this process may use", "用上可用的每个核心")
    c.say("data.held_out_bytes", "enough to measure by, and no more than the budget can score", "足够测量，预算之内也来得及评估")
    c.say("data.tokenizer_bytes", "what the tokenizer can learn from in a small part of the budget", "分词器用一小部分预算就能学完的量")


# what it will cost ------------------------------------------------------------------------------------------------------


def foresee(plan: Plan, c: Choices) -> dict[str, float]:
    """Seconds, memory and disk, before anything is trained."""
    tokens = plan.last_step * plan.batch_tokens
    state_bytes = size.parameter_bytes(plan.config)
    micro_tokens = (plan.recipe.train.micro_batch or 1) * plan.context
    seconds = (
        plan.budget.seconds
        or c.start_seconds + plan.last_step * step_seconds(plan.as_trained, c.machine, plan.batch_tokens) / TRAINING_SHARE
    )
    return {
        "parameters": size.parameters(plan.config),
        "epochs": tokens / max(1, c.text.train_tokens),
        "seconds": seconds,
        "peak_memory_bytes": peak_bytes(plan.as_trained, micro_tokens, c.machine, c.recipe.tune),
        "disk_bytes": state_bytes + 4 * 3 * state_bytes + 2 * (c.text.train_tokens + c.text.val_tokens),
        "matmul_flops_per_second": c.machine.matmul_flops_per_second or 0.0,
    }
