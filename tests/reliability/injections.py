"""Numbers that go wrong inside a step: what heat, cosmic rays, bad memory and bad data do to a run.

Each is put where it would arise: into a loss, a gradient, an activation, a weight, a value of the optimizer, a token file that
changes under the running process. `times` says in how many steps from `step` on; the injection itself keeps no state in newleaf.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from newleaf.jobs import pretrain
from newleaf.model.decoder import Decoder
from newleaf.model.layers import Dropout
from newleaf.optim.optimizer import Optimizer

SPIKE = 50.0


def install(fault: dict[str, Any]) -> None:
    """From here on pretraining is hit by one of INJECTIONS."""
    INJECTIONS[fault["inject"]]  # a misspelt one is an error now
    real = pretrain.Job

    class Hit(real):  # type: ignore[misc, valid-type]
        """Pretraining whose numbers go wrong."""

        left = int(fault["times"])
        last_step = -1

        def build(self) -> tuple[Decoder, Optimizer]:
            self.model, self.optimizer = super().build()
            return self.model, self.optimizer

        def loss(self, model: Decoder, batch: Sequence[Tensor], dropout: Dropout | None) -> Tensor:
            step = self.loop.state.step + 1
            if step < fault["step"] or not self.left:
                return super().loss(model, batch, dropout)
            type(self).left -= 1
            return INJECTIONS[fault["inject"]](self, lambda: super(Hit, self).loss(model, batch, dropout))

        def on_event(self, en: str, zh: str) -> None:
            restore(self)
            super().on_event(en, zh)

    pretrain.Job = Hit


Loss = Callable[[], Tensor]
Injection = Callable[[Any, Loss], Tensor]


def in_loss(factor: float) -> Injection:
    return lambda job, loss: loss() * factor


def in_gradient(value: float) -> Injection:
    """One number in the gradient of one matrix."""

    def inject(job: Any, loss: Loss) -> Tensor:
        weight = job.model.model.layers[0].mlp.down_proj.weight
        handle = weight.register_hook(lambda gradient: (handle.remove(), with_value(gradient, value))[1])
        return loss()

    return inject


def in_activation(value: float) -> Injection:
    """One number in what the last layer gives on."""

    def inject(job: Any, loss: Loss) -> Tensor:
        layer = job.model.model.layers[-1]
        handle = layer.register_forward_hook(lambda module, inputs, output: with_value(output, value))
        try:
            return loss()
        finally:
            handle.remove()

    return inject


def in_weight(value: float) -> Injection:
    def inject(job: Any, loss: Loss) -> Tensor:
        result = loss()
        job.model.model.norm.weight.data[3] = value
        return result

    return inject


def in_optimizer(kind: str, value: float) -> Injection:
    """One number of the optimizer's state, just before the step that uses it."""

    def inject(job: Any, loss: Loss) -> Tensor:
        name = next(name for name in job.optimizer.state() if name.startswith(kind))
        job.optimizer.state()[name].view(-1)[5] = value
        return loss()

    return inject


def in_tokens(job: Any, loss: Loss) -> Tensor:
    """Every id of the training shards becomes one that there is not, until training has gone back: read by the next step."""
    for path in sorted(Path(job.setup.run.data).glob("train*.bin")):
        good = path.read_bytes()
        saved = path.with_suffix(".good")
        if not saved.exists():
            saved.write_bytes(good)
        with path.open("r+b") as file:
            file.seek(64 + 8)
            file.write(b"\xff" * (len(good) - 64 - 8))
    return loss()


def restore(job: Any) -> None:
    """Put the token files back as they were, in place: they are mapped into memory."""
    for saved in sorted(Path(job.setup.run.data).glob("*.good")):
        with saved.with_suffix(".bin").open("r+b") as file:
            file.write(saved.read_bytes())
        saved.unlink()


def with_value(tensor: Tensor, value: float) -> Tensor:
    changed = tensor.clone()
    changed.view(-1)[7] = value
    return changed


INJECTIONS: dict[str, Injection] = {
    "loss nan": in_loss(math.nan),
    "loss inf": in_loss(math.inf),
    "loss spike": in_loss(SPIKE),
    "gradient nan": in_gradient(math.nan),
    "gradient inf": in_gradient(math.inf),
    "activation nan": in_activation(math.nan),
    "activation inf": in_activation(-math.inf),
    "weight nan": in_weight(math.nan),
    "weight inf": in_weight(math.inf),
    "momentum nan": in_optimizer("muon", math.nan),
    "second moment nan": in_optimizer("adamw.exp_avg_sq", math.nan),
    "first moment inf": in_optimizer("adamw.exp_avg.", math.inf),
    "token id beyond the vocabulary": in_tokens,
}
