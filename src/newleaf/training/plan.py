"""Bytes, machine and budget in; every setting out, each with its reason. This file is built to be replaced by a better one.

The size of the model is the one that a scaling law expects to end lowest, within what the machine can do in the time:
Hoffmann et al. 2022 (arXiv 2203.15556, approach 3) for parameters against tokens, Muennighoff et al. 2023 (arXiv 2305.16264)
for what repeated text is worth. Where the person sets something, the person's value stands.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from newleaf.checkpoint.state import Decision
from newleaf.errors import SettingError, UsageError
from newleaf.model import size
from newleaf.model.config import ModelConfig, preset
from newleaf.optim.settings import OptimSettings
from newleaf.runtime import Machine
from newleaf.settings import build, leaves
from newleaf.training.clock import Budget
from newleaf.training.settings import Recipe

Reason = tuple[str, str]  # the same sentence in English and in Chinese
YOURS = ("you set it", "由你指定")


@dataclass(frozen=True)
class TextFacts:
    """What the plan needs to know of the text."""

    train_bytes: int
    train_tokens: int
    val_bytes: int
    val_tokens: int
    vocab_size: int


@dataclass(frozen=True)
class Plan:
    """Every choice of a run, made once before step 0."""

    seed: int
    budget: Budget
    recipe: Recipe  # nothing absent but what the model's family decides
    config: ModelConfig
    last_step: int  # with a budget in minutes a first guess, which the clock corrects
    reasons: dict[str, Reason] = field(default_factory=dict)
    foreseen: dict[str, float] = field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()  # of a finished run that is repeated

    @property
    def context(self) -> int:
        return self.config.context

    @property
    def optim(self) -> OptimSettings:
        return self.recipe.optim

    @property
    def batch_tokens(self) -> int:
        assert self.recipe.train.batch_tokens is not None
        return self.recipe.train.batch_tokens

    @property
    def evaluation_tokens(self) -> int:
        assert self.recipe.train.evaluation_tokens is not None
        return self.recipe.train.evaluation_tokens

    @property
    def dropout(self) -> float:
        return self.recipe.train.dropout or 0.0

    @property
    def decay_from(self) -> float:
        """Progress at which the decay begins."""
        return 1 - (self.optim.decay_fraction or 0.0)

    @property
    def every(self) -> dict[str, int]:
        """Steps between two of each."""
        train = self.recipe.train
        assert train.evaluate_every and train.sample_every and train.checkpoint_every
        return {"evaluation": train.evaluate_every, "sample": train.sample_every, "checkpoint": train.checkpoint_every}


# sizes ------------------------------------------------------------------------------------------------------------------

LADDER = ((2, 64), (3, 128), (4, 192), (4, 256), (5, 320), (6, 384), (8, 512), (10, 640), (12, 768), (16, 1024), (24, 1536), (32, 2048))
PARAMETER_COST, PARAMETER_POWER = 406.4, 0.34  # A and alpha of Hoffmann et al. 2022
TOKEN_COST, TOKEN_POWER = 410.7, 0.28  # B and beta
REPEAT_WORTH, EXCESS_WORTH = 15.4, 5.3  # R*_D and R*_N of Muennighoff et al. 2023


def excess_loss(parameters: float, tokens: float, unique_tokens: float) -> float:
    """What the scaling law adds to the text's own entropy, in nats a token of its own tokenizer: only differences count here.

    >>> excess_loss(1e6, 1e7, 1e9) > excess_loss(1e6, 2e7, 1e9)
    True
    """
    worth = unique_tokens * diminishing(tokens / unique_tokens, REPEAT_WORTH)
    affordable = (PARAMETER_COST * PARAMETER_POWER / (TOKEN_COST * TOKEN_POWER) * worth**TOKEN_POWER) ** (1 / PARAMETER_POWER)
    useful = affordable * diminishing(parameters / affordable, EXCESS_WORTH)
    return float(PARAMETER_COST * useful**-PARAMETER_POWER + TOKEN_COST * worth**-TOKEN_POWER)


def diminishing(times: float, worth: float) -> float:
    """How often a thing counts that is had `times` times, where each further time is worth less.

    >>> diminishing(0.5, 15.4), diminishing(1.0, 15.4), round(diminishing(1e9, 15.4), 1)
    (0.5, 1.0, 16.4)
    """
    return times if times <= 1 else 1 + worth * (1 - math.exp(-(times - 1) / worth))


VALUES_PER_SECOND = {  # read or written around the products; on two cores fitted to three sizes (lab/LOG.md), on a GPU a guess
    (True, "float32"): 1.7e9,
    (True, "bf16"): 0.46e9,
    (False, "float32"): 2e11,
    (False, "bf16"): 4e11,
}


def token_seconds(config: ModelConfig, machine: Machine) -> float:
    """Seconds that one token of training costs: the matrix products, and the passes over memory around them.

    Where no rate was measured, one that two cores of 2026 have (lab/LOG.md).
    """
    rate = machine.matmul_flops_per_second or (2e11 if machine.device == "cpu" else 1e14)
    passes = config.depth * (config.width * 12 + config.mlp_width * 4) + config.vocab_size * 6  # values touched
    return size.flops_per_token(config) / rate + passes / VALUES_PER_SECOND[machine.device == "cpu", machine.precision]


def candidates(recipe: Recipe, vocab_size: int, context: int) -> Iterator[ModelConfig]:
    """The ladder of shapes, with what the person has set standing."""
    chosen = recipe.model
    axes = {name: getattr(chosen, name) for name in ("kv_heads", "mlp", "tied", "heads", "head_dim") if getattr(chosen, name) is not None}
    ladder = LADDER if chosen.width is None or chosen.depth is None else ((chosen.depth, chosen.width),)
    refused: SettingError | None = None
    found = 0
    for depth, width in ladder:
        sizes = {"width": chosen.width or width, "depth": chosen.depth or depth}
        try:
            config = preset(chosen.family or "qwen3", vocab_size=vocab_size, context=context, **sizes, **axes)
        except SettingError as error:  # these heads do not go with this width
            refused = error
            continue
        found += 1
        yield config
    if refused is not None and not found:
        raise refused


# the plan ---------------------------------------------------------------------------------------------------------------


def make_plan(text: TextFacts, budget: Budget, machine: Machine, recipe: Recipe, seed: int, start_seconds: float = 0.0) -> Plan:
    """Fill every absent setting. `start_seconds`: what of a budget in minutes is gone before step 0."""
    reasons: dict[str, Reason] = {}
    context = recipe.model.context or plan_context(text, budget, reasons)
    batch_tokens = plan_batch(recipe, context, text, budget, reasons)
    config, tokens = plan_model(text, budget, machine, recipe, context, batch_tokens, start_seconds, reasons)
    last_step = budget.in_steps(batch_tokens, text.train_tokens) or max(10, round(tokens / batch_tokens))
    evaluations = max(1, min(20, last_step // 10))
    reasons["data.vocab_size"] = (
        f"{text.train_bytes:,} bytes of text carry about this many tokens",
        f"{text.train_bytes:,} 字节的文本大约撑得起这么大的词表",
    )
    reasons["train.precision"] = precision_reason(machine)
    reasons["train.evaluate_every"] = ("about twenty evaluations in the run", "全程评估约二十次")
    values: dict[str, Any] = {
        f"model.{name}": getattr(config, name) for name in ("width", "depth", "heads", "kv_heads", "head_dim", "mlp", "context", "tied")
    }
    values |= {"model.family": recipe.model.family or "qwen3", "data.vocab_size": text.vocab_size}
    values |= {
        "train.batch_tokens": batch_tokens,
        "train.precision": machine.precision,
        "train.threads": machine.threads,
        "train.dropout": plan_dropout(last_step * batch_tokens / max(1, text.train_tokens), reasons),
    }
    values |= {
        "train.micro_batch": plan_micro_batch(config, batch_tokens, machine),
        "train.evaluate_every": max(1, last_step // evaluations),
    }
    values |= {"train.checkpoint_every": plan_checkpoints(budget, last_step), "train.sample_every": max(1, last_step // 5)}
    values |= {"train.evaluation_tokens": plan_evaluation_tokens(config, text, last_step * batch_tokens)}
    values |= plan_optim(config, last_step, reasons)
    values |= (chosen := dict(leaves(recipe)))
    reasons |= {name: YOURS for name in chosen if name in reasons}
    filled = build(Recipe, values)
    plan = Plan(seed, budget, filled, config, last_step, reasons)
    return replace(plan, foreseen=foresee(plan, text, machine, start_seconds))


def plan_context(text: TextFacts, budget: Budget, reasons: dict[str, Reason]) -> int:
    """Long enough for an answer of the default length, longer where there is time to learn from it."""
    context = 512 if (budget.minutes or 0) > 30 else 256
    context = min(context, max(16, 1 << (max(2, text.train_tokens // 4)).bit_length() - 1))
    reasons["model.context"] = ("room for a page of text at the price that the budget allows", "预算之内，能容下约一页文字")
    return context


def plan_batch(recipe: Recipe, context: int, text: TextFacts, budget: Budget, reasons: dict[str, Reason]) -> int:
    """Tokens a step: small at first, because short runs need many steps; a multiple of the context."""
    chosen = recipe.train.batch_tokens
    if chosen is not None:
        if chosen % context:
            raise SettingError(
                f"train.batch_tokens {chosen} is not a multiple of the context",
                where="train.batch_tokens",
                expected=f"a multiple of {context}",
            )
        return chosen
    wanted = 4096 if budget.minutes is None or budget.minutes <= 20 else 8192
    wanted = min(wanted, max(context, text.train_tokens // 4))
    reasons["train.batch_tokens"] = (
        "small batches take more steps in the same time, and short runs lack steps",
        "小批量在同样时间里走更多步，而短训练缺的正是步数",
    )
    return max(1, round(wanted / context)) * context


def plan_model(
    text: TextFacts,
    budget: Budget,
    machine: Machine,
    recipe: Recipe,
    context: int,
    batch_tokens: int,
    start_seconds: float,
    reasons: dict[str, Reason],
) -> tuple[ModelConfig, float]:
    """The candidate that the scaling law expects to end lowest, and the tokens that it will see."""
    steps = budget.in_steps(batch_tokens, text.train_tokens)
    best: tuple[float, ModelConfig, float] | None = None
    for config in candidates(recipe, text.vocab_size, context):
        if size.training_bytes(config, context, machine.precision) > 0.8 * machine.memory_bytes:
            break
        if steps is not None:
            tokens = float(steps * batch_tokens)
        else:
            assert budget.seconds is not None
            tokens = max(batch_tokens, 0.85 * (budget.seconds - start_seconds) / token_seconds(config, machine))
        expected = excess_loss(size.matmul_weights(config), tokens, max(1, text.train_tokens))
        if best is None or expected < best[0]:
            best = (expected, config, tokens)
    if best is None:
        raise UsageError(
            f"the smallest model that these settings allow does not fit into {machine.memory_bytes / 1e9:.1f} GB of memory",
            expected="a smaller model.width, model.depth or data.vocab_size",
        )
    _, config, tokens = best
    epochs = tokens / max(1, text.train_tokens)
    reasons["model.width"] = (
        f"{size.parameters(config):,} parameters learn most from {tokens:,.0f} tokens ({epochs:.1f} times the text)",
        f"{size.parameters(config):,} 个参数最适合看 {tokens:,.0f} 个词元（全文 {epochs:.1f} 遍）",
    )
    reasons["model.depth"] = ("follows the width", "随宽度而定")
    return config, tokens


def plan_micro_batch(config: ModelConfig, batch_tokens: int, machine: Machine) -> int:
    """Rows at once: the whole batch, or as much of it as half of the memory holds."""
    rows = batch_tokens // config.context
    while rows > 1 and size.training_bytes(config, rows * config.context, machine.precision) > 0.5 * machine.memory_bytes:
        rows = -(-rows // 2)
    return rows


def plan_checkpoints(budget: Budget, last_step: int) -> int:
    """About one a minute, ten a run at least."""
    return max(1, round(last_step / max(10.0, budget.minutes or 0.0)))


def plan_dropout(epochs: float, reasons: dict[str, Reason]) -> float:
    """None while most text is new; more the more often it is read again."""
    reasons["train.dropout"] = (f"the text is read {epochs:.1f} times", f"全文要读 {epochs:.1f} 遍")
    return 0.0 if epochs < 10 else 0.1 if epochs < 20 else 0.2


def plan_optim(config: ModelConfig, last_step: int, reasons: dict[str, Reason]) -> dict[str, Any]:
    """Rates for Muon and AdamW, warm-up and decay."""
    reasons["optim.decay_fraction"] = (
        "the last part cools down; the trunk before it is kept for --extend",
        "最后一段降温；之前的主干留给 --extend",
    )
    return {
        "optim.kind": "muon",
        "optim.lr": 0.006,
        "optim.embedding_lr": 0.03,
        "optim.head_lr": 0.01,
        "optim.norm_lr": 0.003,
        "optim.weight_decay": 0.1,
        "optim.decay_fraction": 0.4,
        "optim.warmup_steps": max(1, min(100, last_step // 20)),
    }


def plan_evaluation_tokens(config: ModelConfig, text: TextFacts, train_tokens: int) -> int:
    """Enough held-out tokens to choose by, at about a twentieth of the training's cost for twenty evaluations."""
    return min(text.val_tokens, max(8 * config.context, train_tokens // 250))


def precision_reason(machine: Machine) -> Reason:
    if machine.precision == "bf16":
        return ("this processor multiplies bf16 faster than float32", "这颗处理器算 bf16 比 float32 快")
    return ("bf16 products are not fast enough here to pay for rounding to them", "这颗处理器的 bf16 乘法不够快，抵不上舍入的开销")


# what it will cost ------------------------------------------------------------------------------------------------------


def foresee(plan: Plan, text: TextFacts, machine: Machine, start_seconds: float) -> dict[str, float]:
    """Seconds, memory, disk and bits per byte, before anything is trained."""
    tokens = plan.last_step * plan.batch_tokens
    state_bytes = size.parameter_bytes(plan.config)
    micro_tokens = (plan.recipe.train.micro_batch or 1) * plan.context
    seconds = plan.budget.seconds or start_seconds + tokens * token_seconds(plan.config, machine) * 1.1
    expected = expected_bpb(plan, text, tokens)
    return {
        "parameters": size.parameters(plan.config),
        "epochs": tokens / max(1, text.train_tokens),
        "seconds": seconds,
        "peak_memory_bytes": size.training_bytes(plan.config, micro_tokens, machine.precision) + 450_000_000,
        "disk_bytes": state_bytes + 4 * 3 * state_bytes + 2 * (text.train_tokens + text.val_tokens),
        "val_bpb": expected,
        "val_bpb_low": expected * (1 - BAND),
        "val_bpb_high": expected * (1 + BAND),
        "matmul_flops_per_second": machine.matmul_flops_per_second or 0.0,
    }


BAND = 0.25  # of the expected bits per byte: a first guess, no text was looked at but for its length
ENTROPY_FLOOR = 1.0  # bits per byte that no model of this size gets below, on ordinary prose


def expected_bpb(plan: Plan, text: TextFacts, tokens: float) -> float:
    """A first guess: the law's excess over a floor, in bits, over the bytes of a token."""
    token_bytes = max(1.0, text.train_bytes / max(1, text.train_tokens))
    excess = excess_loss(size.matmul_weights(plan.config), tokens, max(1, text.train_tokens))
    return min(8.0, ENTROPY_FLOOR + excess / math.log(2) / token_bytes / 4)
