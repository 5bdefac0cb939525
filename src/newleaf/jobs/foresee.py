"""What `train` would do with the same arguments, without training."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from newleaf import runtime
from newleaf.conversion.huggingface import read_model
from newleaf.errors import RunError
from newleaf.evaluation.bits import score, window
from newleaf.jobs.outlook import outlook
from newleaf.jobs.pilot import HELD_OUT_BYTES, TEXT_BYTES, foretold_bits, pilot
from newleaf.jobs.setup import HAN_TOKENS, base_for
from newleaf.runs import Run
from newleaf.text.document import Document
from newleaf.text.read import Corpus
from newleaf.text.rest import at_rest
from newleaf.text.split import survey
from newleaf.training.base import StartingPoint, tokens_per_character
from newleaf.training.choices import make_plan
from newleaf.training.clock import Budget, enough
from newleaf.training.plan import Plan, TextFacts
from newleaf.training.planfile import read_plan, write_plan
from newleaf.training.prepare import Vocabulary, corpora, sample, tokenizer_for
from newleaf.training.reading import choose_data, choose_vocabulary
from newleaf.training.request import DEFAULT_MINUTES, Request
from newleaf.training.settings import DataSettings
from newleaf.workers import Workers, workers_for


@dataclass(frozen=True)
class Look:
    """At a text: facts for the plan, and ids of pieces all through it for the pilot."""

    facts: TextFacts
    train: np.ndarray
    held_out: np.ndarray
    held_out_bytes: int


def foresee_run(request: Request, write: bool) -> dict[str, Any]:
    """The plan as JSON; with `write` it becomes the newleaf.toml of a new directory."""
    run = request.run
    if request.resume and run.plan.exists():
        return as_json(read_plan(run)[0])
    if write:
        require_new(run)
    if request.task:
        from newleaf.jobs.trial import plan_of_tuning as make_it
    else:
        make_it = make
    plan = make_it(request)
    if write:
        with run.writing():
            require_new(run)  # planning took its time
            write_plan(run, plan, request.inputs)
    return as_json(plan)


def require_new(run: Run) -> None:
    """RunError where anything stands in the directory but what a refused command leaves."""
    run.require_ours()
    if run.names() - {".lock", ".owner.json"}:
        hint = "choose another --out"
        raise RunError(f"{run.path} is not empty", where=str(run.path), expected="a new directory for the plan", hint=hint)


def make(request: Request) -> Plan:
    """Survey the text, sample the tokenizer, measure the machine if the budget is in minutes, and plan."""
    recipe, budget = request.recipe, request.budget or Budget(minutes=DEFAULT_MINUTES)
    corpus, val = corpora(request.inputs, request.run)
    recipe = replace(recipe, data=choose_data(recipe.data, budget))
    began = time.perf_counter()
    base = base_for(request, None)
    vocabulary = base.tokenizer if base else partial(choose_vocabulary, budget)
    look = at_rest(lambda: look_at(corpus, val, recipe.data, vocabulary), lambda en, zh: None)
    reading = time.perf_counter() - began
    machine = runtime.machine(recipe.train.threads, recipe.train.precision)
    runtime.settle(machine)
    machine = runtime.measured(runtime.faster(machine) if budget.seconds is not None and recipe.train.precision is None else machine)
    plan = make_plan(look.facts, budget, machine, recipe, request.seed or 0, reading, base)
    workers = workers_for(machine.device, machine.threads)
    if base is not None:
        return replace(
            plan, foreseen=plan.foreseen | outlook(plan, look.facts, machine, workers, reading) | before_training(base, look, workers)
        )
    curve = pilot(look.train, look.held_out, look.held_out_bytes, look.facts.vocab_size, workers_for("cpu", machine.threads))
    bits = foretold_bits(curve, plan, look.facts.train_tokens)
    return replace(plan, foreseen=plan.foreseen | outlook(plan, look.facts, machine, workers, reading) | bits)


def before_training(base: StartingPoint, look: Look, workers: Workers) -> dict[str, float]:
    """What a model to go on from scores as it is: the run will end below it, nobody knows how far."""
    result = score(read_model(base.base.folder), look.held_out, window(base.config), workers)
    return {"val_bpb_high": result.bits_per_byte(look.held_out_bytes)}


def look_at(corpus: Corpus, val: Corpus | None, settings: DataSettings, vocabulary: Vocabulary) -> Look:
    """The text's tokens are estimated from pieces of it."""
    split = survey(corpus, val, settings.held_out_bytes or 0)
    tokenizer = tokenizer_for(split, corpus, settings, vocabulary)

    def encoded(documents: Iterable[Document], num_bytes: int, most: int) -> tuple[np.ndarray, int]:
        """Ids of pieces of some documents, and their bytes."""
        texts = list(sample(documents, num_bytes, most))
        ids = [[tokenizer.end_of_text, *tokenizer.encode(text)] for text in texts]
        return np.array([*chain(*ids), tokenizer.end_of_text]), sum(len(text.encode()) for text in texts)

    train, train_bytes = encoded(split.train_documents(corpus), split.train_bytes, TEXT_BYTES)
    held_out, held_out_bytes = encoded(split.held_out_documents(val or corpus), split.val_bytes, HELD_OUT_BYTES)
    tokens_per_byte = len(train) / max(1, train_bytes)
    facts = TextFacts(
        split.train_bytes,
        max(2, round(split.train_bytes * tokens_per_byte)),
        split.val_bytes,
        max(2, round(split.val_bytes * tokens_per_byte)),
        tokenizer.vocab_size,
        tokens_per_character(tokenizer, tokenizer.decode(train[:HAN_TOKENS].tolist())),
    )
    return Look(facts, train, held_out, held_out_bytes)


def as_json(plan: Plan) -> dict[str, Any]:
    """The contract's object; its reasons are sentences in the person's language."""
    config, train, foreseen = plan.config, plan.recipe.train, plan.foreseen
    learned = foreseen.get("learned_parameters")  # of a plan to tune
    by_clock = plan.budget.seconds is not None and not enough(plan.decisions)
    return {
        "parameters": int(foreseen["parameters"]),
        **({} if learned is None else {"learned_parameters": int(learned), "steps": None if by_clock else plan.last_step}),
        "vocab_size": config.vocab_size,
        "context": plan.context,
        "width": config.width,
        "depth": config.depth,
        "batch_tokens": plan.batch_tokens,
        "epochs": foreseen["epochs"],
        "precision": train.precision,
        "threads": train.threads,
        "seconds": foreseen["seconds"],
        "peak_memory_bytes": int(foreseen["peak_memory_bytes"]),
        "matmul_flops_per_second": foreseen["matmul_flops_per_second"],
        "disk_bytes": int(foreseen["disk_bytes"]),
        "val_bpb": foreseen.get("val_bpb"),
        "val_bpb_low": foreseen.get("val_bpb_low"),
        "val_bpb_high": foreseen.get("val_bpb_high"),
        "reasons": plan.explained(chinese=runtime.language() == "zh"),
    }
