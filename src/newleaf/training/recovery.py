"""A step went wrong, and the run goes on: after bad numbers back and with other data, after too little memory with fewer rows at once.

Too little memory: half as many rows of the batch are computed at once from there on, and the step is done again. The batch stays the
same, and so do the order of the batches and all that is random but dropout, which is drawn for each part that a worker takes: what
follows is, to the bit, what a run does that had the smaller micro-batch at this step. A checkpoint holds it before it acts, so a resumed
run goes on with it. Only where a run goes on from an older one (that one being damaged) does memory run out again, or not at all, and then
the same batches are added up in another order.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from newleaf.checkpoint import store
from newleaf.checkpoint.state import State
from newleaf.errors import DivergedError, OutOfMemoryError
from newleaf.memory import release
from newleaf.model.lora import load_trained

if TYPE_CHECKING:
    from newleaf.training.loop import Loop

MAX_TRIES = 2  # how often a run goes back after a bad step without getting any further


def go_back(loop: "Loop", reason: str) -> None:
    """Return to the last good state, and on with other data; DivergedError when that has not helped twice."""
    failed = loop.state
    if failed.tries == MAX_TRIES:
        raise DivergedError(
            f"at step {failed.step + 1} {reason}, again after going back {MAX_TRIES} times",
            hint="lower --optim.lr, or look for what is odd in the text; the best model so far is kept",
        )
    restore(loop, failed.retry + 1, failed.tries + 1)
    loop.task.on_event(
        f"step {failed.step + 1}: {reason}; back to step {loop.state.step} and on with other data",
        f"第 {failed.step + 1} 步出错（{reason}）；退回第 {loop.state.step} 步，换一批数据继续",
    )


def make_room(loop: "Loop") -> None:
    """Half as many rows at once, rounded down; OutOfMemoryError, with everything saved, when there is only one."""
    step, batch = loop.state.step + 1, loop.plan.batch_rows
    rows = min(loop.state.micro_batch, batch)
    loop.model.zero_grad(set_to_none=True)
    loop.work = None  # and with it the gradients of all workers
    release(loop.device)
    if loop.optimizer.steps > loop.state.step:  # some weights may have moved and others not
        restore(loop, loop.state.retry, loop.state.tries)
        loop.task.on_event(
            f"step {step}: memory ran out while weights were moved; back to step {loop.state.step} and on with the same data",
            f"第 {step} 步更新权重时内存不够；退回第 {loop.state.step} 步，用同样的数据继续",
        )
    if rows > 1:
        loop.state.micro_batch = rows // 2
        loop.task.on_event(
            f"step {step}: memory ran out; from here on {rows // 2} of a batch's {batch} rows at once, not {rows}",
            f"第 {step} 步内存不够；此后每批 {batch} 行，一次只算 {rows // 2} 行（原为 {rows} 行）",
        )
    loop.paused("checkpoint", loop.save)
    if loop.pace is not None:
        loop.pace.marks.clear()  # fewer rows at once are slower
    if rows == 1:
        raise OutOfMemoryError(
            f"at step {step:,} memory does not suffice for one row of {loop.plan.context:,} tokens, everything is saved",
            hint="free some memory and resume, or train anew with a smaller --model.context, --model.width or --data.vocab_size",
        )


def restore(loop: "Loop", retry: int, tries: int) -> None:
    """The last good state, with what has been decided and found out since."""
    failed = loop.state
    found, _ = store.latest(loop.folder, loop.scheduled)
    if found is None:
        loop.model, loop.optimizer = loop.task.build()
        state = State(matmul_seconds=failed.matmul_seconds, fingerprint=failed.fingerprint, exact=failed.exact)
    else:
        load_trained(loop.model, found.weights)
        loop.optimizer.load(found.optimizer, found.state.step)
        state = found.state
    loop.state = replace(
        state,
        retry=retry,
        tries=tries,
        micro_batch=failed.micro_batch,
        decisions=failed.decisions,
        best=failed.best,  # its model stands at the top
        seconds=loop.stopwatch(),
        train_seconds=failed.train_seconds,
    )
    loop.metrics.rewind(loop.state.step)
    if loop.pace is not None:
        loop.pace.marks.clear()
