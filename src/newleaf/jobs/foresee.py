"""What `train` would do with the same arguments, without training."""

import time
from dataclasses import replace
from functools import partial
from typing import Any

from newleaf import runtime
from newleaf.errors import RunError
from newleaf.jobs.outlook import outlook
from newleaf.text.read import Corpus
from newleaf.text.rest import at_rest
from newleaf.text.split import survey
from newleaf.training.choices import choose_data, choose_vocabulary, make_plan
from newleaf.training.clock import Budget
from newleaf.training.plan import Plan, TextFacts
from newleaf.training.planfile import read_plan, write_plan
from newleaf.training.prepare import PlanVocabulary, compressed_bits, corpora, sample, train_tokenizer
from newleaf.training.request import DEFAULT_MINUTES, Request
from newleaf.training.settings import DataSettings

PROBE_BYTES = 1_000_000  # of text that are encoded to see how many bytes a token has


def foresee_run(request: Request, write: bool) -> dict[str, Any]:
    """The plan as JSON; with `write` it becomes the newleaf.toml of a new directory."""
    run = request.run
    if request.resume and run.plan.exists():
        return as_json(read_plan(run)[0])
    if write:
        run.require_ours()
        if run.path.exists() and any(run.path.iterdir()):
            raise RunError(
                f"{run.path} is not empty", where=str(run.path), expected="a new directory for the plan", hint="choose another --out"
            )
    plan = make(request)
    if write:
        with run.writing():
            write_plan(run, plan, request.inputs)
    return as_json(plan)


def make(request: Request) -> Plan:
    """Survey the text, sample the tokenizer, measure the machine if the budget is in minutes, and plan."""
    recipe, budget = request.recipe, request.budget or Budget(minutes=DEFAULT_MINUTES)
    corpus, val = corpora(request.inputs, request.run)
    recipe = replace(recipe, data=choose_data(recipe.data, budget))
    began = time.perf_counter()
    facts = at_rest(lambda: look_at(corpus, val, recipe.data, partial(choose_vocabulary, budget)), lambda en, zh: None)
    reading = time.perf_counter() - began
    machine = runtime.machine(recipe.train.threads, recipe.train.precision)
    runtime.settle(machine)
    machine = runtime.measured(runtime.faster(machine) if budget.seconds is not None and recipe.train.precision is None else machine)
    plan = make_plan(facts, budget, machine, recipe, request.seed or 0, start_seconds=0.0)
    return replace(plan, foreseen=plan.foreseen | outlook(plan, facts, machine, reading))


def look_at(corpus: Corpus, val: Corpus | None, settings: DataSettings, vocab_size: PlanVocabulary) -> TextFacts:
    """What the plan needs to know of the text, its tokens estimated from a sample."""
    split = survey(corpus, val, settings.held_out_bytes or 0)
    tokenizer = train_tokenizer(split, corpus, settings, vocab_size)
    probed = [text.encode() for text in sample(split.train_documents(corpus), split.train_bytes, PROBE_BYTES)]
    num_bytes = sum(map(len, probed))
    tokens_per_byte = sum(len(tokenizer.encode(text.decode())) for text in probed) / max(1, num_bytes)
    return TextFacts(
        split.train_bytes,
        max(2, round(split.train_bytes * tokens_per_byte)),
        split.val_bytes,
        max(2, round(split.val_bytes * tokens_per_byte)),
        tokenizer.vocab_size,
        compressed_bits(b"".join(probed)),
    )


def as_json(plan: Plan) -> dict[str, Any]:
    """The contract's object; its reasons are sentences in the person's language."""
    config, train, foreseen = plan.config, plan.recipe.train, plan.foreseen
    return {
        "parameters": int(foreseen["parameters"]),
        "vocab_size": config.vocab_size,
        "context": config.context,
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
        "val_bpb": foreseen["val_bpb"],
        "val_bpb_low": foreseen["val_bpb_low"],
        "val_bpb_high": foreseen["val_bpb_high"],
        "reasons": plan.explained(chinese=runtime.language() == "zh"),
    }
