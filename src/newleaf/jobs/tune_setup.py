"""A model and examples in, the beginning of a run that tunes it out: read, render, encode, plan."""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from newleaf.batches.examples import Examples
from newleaf.checkpoint.state import Decision
from newleaf.errors import SettingError, UsageError
from newleaf.jobs.setup import Setup, asked_of, base_for, probe, settle
from newleaf.jobs.view import View
from newleaf.model import size
from newleaf.model.config import ModelConfig
from newleaf.optim.settings import NEW_RATES
from newleaf.runs import Run
from newleaf.runtime import Machine
from newleaf.settings import leaves
from newleaf.text.examples import Columns, texts_of
from newleaf.tokens.foreign import load_tokenizer
from newleaf.tokens.interface import AnyTokenizer
from newleaf.tokens.templates import chat_template
from newleaf.training.base import StartingPoint, tokens_per_character
from newleaf.training.choices import make_plan
from newleaf.training.clock import Budget, Stopwatch
from newleaf.training.costs import SCORING
from newleaf.training.example_data import ExampleData, files_of, open_examples, prepare_examples
from newleaf.training.plan import Plan, TextFacts
from newleaf.training.prepare import learned_text, read_manifest
from newleaf.training.request import Request
from newleaf.training.settings import Recipe, TuneSettings
from newleaf.training.tasks import Kind, Task, task_named

COLUMNS = ("input", "second_input", "output", "label")
NAMED = 3  # rows that were left out are named on the screen
BATCH_TOKENS, FEWEST_ROWS, MOST_ROWS = 2048, 8, 128  # of a batch
COVERED, STRETCH = 0.99, 4  # of the examples; a context may become so many times longer
MOST_SEEN = 500  # examples, to find Chinese characters in
GENTLE, GENTLER = 0.2, 0.02  # of the rates for text: for examples, for preferences (docs/decisions, 0015 and 0017)
FEW_STEPS = 40  # need all of them
OF_TEXT = ("data.held_out_bytes", "data.tokenizer_bytes")  # choices that examples know nothing of
LEAST_JUDGED, LEAST_LABELS = 50, 300  # examples of an evaluation in training: a label says less than an answer
JUDGING_SHARE = 0.08  # of the time of training that all of them may take
MOST_EPOCHS: dict[Kind, int] = {"answers": 10, "preference": 1, "labels": 2, "spelled": 2}
LEAST_STEPS: dict[Kind, int] = {"answers": 300, "preference": 50, "labels": 50, "spelled": 50}


def begin_tuning(request: Request, view: View, stopwatch: Stopwatch) -> Setup[ExampleData]:
    """Everything before step 0 of a new run."""
    run, asked = request.run, asked_of(request)
    planned, inputs, recipe, budget = asked.planned, asked.inputs, asked.recipe, asked.budget
    start = base_for(request, planned)
    if start is None or not inputs["data"]:
        missing = "DATA" if start else "MODEL"
        raise UsageError(f"{missing} is missing", where=missing, expected="newleaf tune MODEL DATA --task NAME")
    require_possible(recipe.tune, start, inputs["task"])
    manifest = read_examples(run, inputs, start, recipe, view)
    asked.keep(run, manifest)
    data = open_tuning(run)
    machine, seconds = probe(recipe, budget)
    asked.require_fitting(run, planned is None or planned.config.num_labels == num_labels(manifest))
    plan = planned or plan_tuning(request, budget, start, data, machine, stopwatch())
    plan = replace(plan, decisions=request.decisions or plan.decisions)
    return settle(run, plan, inputs, data, machine, seconds, stopwatch)


def read_examples(run: Run, inputs: Mapping[str, Any], start: StartingPoint, recipe: Recipe, view: View) -> dict[str, Any]:
    """Read, render and encode the examples that `inputs` name; returns the manifest."""
    task = task_named(inputs["task"], recipe.tune.labels)
    columns = Columns(**{name: inputs.get(name) for name in COLUMNS})  # a plan on disk leaves out what was not named
    names = inputs.get("columns") or []
    files = files_of(inputs["data"], task, columns, names)
    val = files_of([inputs["val"]], task, columns, names) if inputs["val"] else None
    source = Run(start.base.folder)
    grown = source.begun and not learned_text(source)
    context = partial(choose_context, start.config, grown, recipe.model.context)
    manifest = prepare_examples(run, task, files, val, with_template(start.tokenizer, task), context, view.event)
    for row in manifest["skipped"][:NAMED]:
        view.left_out(row["source"], row["reason"], row["count"])
    return manifest


def plan_tuning(request: Request, budget: Budget, start: StartingPoint, data: ExampleData, machine: Machine, gone: float) -> Plan:
    """Every choice of a run that tunes; `gone` are the seconds before it."""
    shape = replace(start.config, num_labels=num_labels(data.manifest), context=max(start.config.context, data.manifest["context"]))
    recipe = with_batches(request.recipe, data.train, shape.context)
    base, seed = StartingPoint(start.base, shape), request.seed or 0

    def within(budget: Budget) -> Plan:
        return make_plan(facts(data, recipe), budget, machine, recipe, seed, gone, base)

    plan = within(budget)
    most = most_steps(data.manifest["kind"], len(data.train), plan.batch_rows)
    if budget.seconds is not None and plan.last_step > most:  # the examples have no more to give
        plan = replace(within(Budget(steps=most)), budget=budget, decisions=(Decision(0, most, enough=True),))
    plan = seldom_judged(plan, data, request.recipe)
    plan = gentle(plan, request.recipe, data.manifest["kind"])
    asked = dict(leaves(request.recipe))
    why = plan.reasons | {name: said for name, said in reasons(data, plan).items() if name not in asked}
    epochs = plan.last_step * plan.batch_rows / len(data.train)
    return replace(
        plan,
        reasons={name: said for name, said in why.items() if name not in OF_TEXT},
        foreseen=plan.foreseen | {"epochs": epochs},
    )


def num_labels(manifest: Mapping[str, Any]) -> int:
    """That a head scores: none where they are answers."""
    return len(manifest["labels"]) if manifest["kind"] == "labels" else 0


def open_tuning(run: Run) -> ExampleData:
    """The examples of a run, verified."""
    manifest = read_manifest(run)
    return open_examples(run, manifest, load_tokenizer(run.path))


def with_template(tokenizer: AnyTokenizer, task: Task) -> AnyTokenizer:
    """A chat model keeps its own template; every other task has one of its own words."""
    if task.kind == "labels" or (task.words == ("user", "assistant") and tokenizer.chat_template):
        return tokenizer
    return tokenizer.with_template(chat_template(tokenizer, task.words))


def with_batches(recipe: Recipe, examples: Examples, context: int) -> Recipe:
    """Windows as long as the longest example, and rows enough for a batch."""
    longest, mean = int(examples.lengths.max()), float(examples.lengths.mean())
    width = recipe.model.context or min(context, longest)
    rows = max(1, min(max(FEWEST_ROWS, min(MOST_ROWS, round(BATCH_TOKENS / mean))), len(examples) // 2))
    train = recipe.train if recipe.train.batch_tokens else replace(recipe.train, batch_tokens=rows * width)
    return replace(recipe, model=replace(recipe.model, context=width), train=train)


def choose_context(config: ModelConfig, grown: bool, asked: int | None, lengths: np.ndarray) -> int:
    """So many tokens that all but a hundredth of the examples fit. Rotary positions go on where those of the model end: it learns the new
    ones here. In a model that was tuned before they have `grown`, and grow again only where that is asked for: steps become long."""
    goes_on = config.positions == "rope" and config.rope_scaling == "none"
    most = config.context * (STRETCH if goes_on else 1)
    if asked is not None:
        if asked > most:
            raise SettingError(f"model.context is {asked}", where="model.context", expected=f"at most {most}")
        return asked
    return min(config.context if grown else most, max(16, -(-int(np.quantile(lengths, COVERED)) // 16) * 16))


def facts(data: ExampleData, recipe: Recipe) -> TextFacts:
    """An example counts as one window, whatever its length: so many windows are an epoch."""
    assert recipe.model.context is not None
    manifest, width = data.manifest, recipe.model.context
    return TextFacts(
        manifest["train_bytes"],
        len(data.train) * width,
        manifest["val_bytes"],
        len(data.val) * width,
        data.tokenizer.vocab_size,
        han_tokens(data),
    )


def han_tokens(data: ExampleData) -> float:
    """What a Chinese character costs, by the examples."""
    return tokens_per_character(data.tokenizer, "\n".join(text for row in data.rows("train")[:MOST_SEEN] for text in texts_of(row)))


def most_steps(kind: Kind, num_examples: int, rows: int) -> int:
    """That a budget in minutes takes: whoever reads examples more often learns them by heart."""
    return max(LEAST_STEPS[kind], MOST_EPOCHS[kind] * num_examples // rows)


def seldom_judged(plan: Plan, data: ExampleData, asked: Recipe) -> Plan:
    """So many steps between two evaluations that judging does not eat up the time of training."""
    judged = int(data.val.lengths[: num_judged(data.val, plan.evaluation_tokens)].sum()) * data.val.rows_each
    steps = SCORING * judged / (plan.batch_rows * float(data.train.lengths.mean()) * data.train.rows_each)  # that one evaluation costs
    every = max(plan.every["evaluation"], min(plan.last_step, math.ceil(steps / JUDGING_SHARE)))
    if asked.train.evaluate_every is not None:
        return plan
    return replace(plan, recipe=replace(plan.recipe, train=replace(plan.recipe.train, evaluate_every=every)))


def num_judged(examples: Examples, evaluation_tokens: int) -> int:
    """The held-out examples, from the first one on, that an evaluation in training scores."""
    least = LEAST_LABELS if len(examples.labels) else LEAST_JUDGED
    return min(len(examples), max(least, int(np.searchsorted(np.cumsum(examples.lengths), evaluation_tokens))))


def gentle(plan: Plan, asked: Recipe, kind: Kind) -> Plan:
    """Examples are learned with a part of the rates that text is, the greater the fewer the steps. Adapters leave the model as it is, and
    have rates of their own."""
    if asked.tune.rank:
        return plan
    optim = plan.recipe.optim
    part = GENTLER if kind == "preference" else min(1.0, max(GENTLE, FEW_STEPS / plan.last_step))
    rates = {name: getattr(optim, name) * part for name in NEW_RATES if getattr(asked.optim, name) is None}
    said = {}
    if "lr" in rates:
        share = rates["lr"] / NEW_RATES["lr"]
        said["optim.lr"] = (
            f"{share:.2g} of a new model's: with more, what it knows is spoilt before the examples have taught it theirs",
            f"新模型的 {share:.2g} 倍：再大，样例还没学会，原来会的先坏了",
        )
    return replace(plan, recipe=replace(plan.recipe, optim=replace(optim, **rates)), reasons=plan.reasons | said)


def reasons(data: ExampleData, plan: Plan) -> dict[str, tuple[str, str]]:
    """What is otherwise than in a run on a text."""
    mean, cut = float(np.mean(data.train.lengths)), data.manifest["cut"] + data.manifest["too_long"]
    epochs = plan.last_step * plan.batch_rows / len(data.train)
    longest = ("the longest example", "最长的样例")
    most = ("as far as nearly all examples, or the model, can go", "几乎所有样例的长度，或模型能伸展到的长度")
    parameters, cost = size.parameters(plan.config), han_tokens(data)
    return {
        "from": (
            f"its {parameters:,} parameters see each example {epochs:.1f} times at most; a Chinese character costs {cost:.2f} tokens",
            f"它的 {parameters:,} 个参数，每个样例最多看 {epochs:.1f} 遍；一个汉字要用 {cost:.2f} 个词元",
        ),
        "model.context": most if cut else longest,
        "train.batch_tokens": (
            f"examples of {mean:.0f} tokens on average, padded to the longest of a batch",
            f"样例平均 {mean:.0f} 个词元，补齐到一批中最长的",
        ),
        "train.evaluate_every": ("as often as a twelfth of the time of training allows", "占训练时间的十二分之一以内"),
        "train.dropout": (f"each example is read {epochs:.1f} times at most", f"每个样例最多读 {epochs:.1f} 遍"),
        "optim.decay_fraction": ("the last part cools down", "最后一段降温"),
    }


def require_possible(settings: TuneSettings, start: StartingPoint, task: str) -> None:
    """UsageError or SettingError for what this model, or task, cannot do: before anything is written."""
    for name, read in {"labels": task == "classify", "beta": task == "prefer"}.items():
        if getattr(settings, name) is not None and not read:
            expected = "a task of labels" if name == "labels" else "a task of better and worse answers"
            raise UsageError(f"tune.{name} says nothing for --task {task}", where=f"tune.{name}", expected=expected)
    for name in ("alpha", "targets", "int8"):
        if getattr(settings, name) is not None and not settings.rank:
            raise UsageError(f"tune.{name} is for adapters", where=f"tune.{name}", expected="--lora beside it")
    if settings.replay and task_named(task, settings.labels).kind in ("labels", "preference"):
        expected = "a task of answers"
        raise UsageError(f"tune.replay is not for --task {task}", where="tune.replay", expected=expected, hint="--lora changes less, too")
    if settings.replay and not learned_text(Run(start.base.folder)):
        expected = "a run of newleaf train"
        raise UsageError("tune.replay needs the text that the model learned from", where="tune.replay", expected=expected)
    names = settings.products
    known = {name.split(".")[-2] for name in size.layer_shapes(start.config)}
    if settings.rank and not known & set(names):
        raise SettingError(f"this model has none of {','.join(names)}", where="tune.targets", expected="products that it has")
