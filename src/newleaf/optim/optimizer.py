"""A model's parameters in, an optimizer out: one object that clips, steps, and can be saved and loaded to the same bits.

Its whole state is `steps`, a whole number, and named float32 tensors, "muon.momentum.model.layers.0.mlp.up_proj.weight" for
one. Everything else is a function of the settings.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from newleaf.errors import CheckpointError
from newleaf.optim.adamw import adamw_
from newleaf.optim.clip import clip_
from newleaf.optim.groups import Group, param_groups
from newleaf.optim.muon import muon_, stacks
from newleaf.optim.settings import Kind, OptimSettings
from newleaf.workers import Workers

BUFFERS: dict[Kind, tuple[str, ...]] = {"muon": ("momentum",), "adamw": ("exp_avg", "exp_avg_sq")}


class Optimizer:
    """Moves `named_parameters` by their gradients, which must all be there at every step.

    >>> weight = torch.nn.Parameter(torch.zeros(3))
    >>> optimizer = Optimizer([("model.norm.weight", weight)], OptimSettings(kind="muon", norm_lr=0.1, weight_decay=0.0))
    >>> weight.grad = torch.tensor([4.0, 0.0, -4.0])
    >>> round(optimizer.clip(), 3), optimizer.step(lr_multiplier=0.5)
    (5.657, None)
    >>> weight.data, optimizer.steps, [*optimizer.state()]
    (tensor([-0.0500,  0.0000,  0.0500]), 1, ['adamw.exp_avg.model.norm.weight', 'adamw.exp_avg_sq.model.norm.weight'])
    """

    def __init__(
        self,
        named_parameters: Iterable[tuple[str, Tensor]],
        settings: OptimSettings,
        precision: Literal["float32", "bf16"] = "float32",
        workers: Workers | None = None,
    ) -> None:
        """`precision` is that of Muon's matrix products; `workers` move several matrices at the same time."""
        self.settings, self.steps = settings, 0
        self.groups = param_groups(named_parameters, settings)
        self._workers = workers or Workers(1)
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._state = {
            f"{group.optimizer}.{buffer}.{name}": torch.zeros_like(param, memory_format=torch.contiguous_format)
            for group in self.groups
            for buffer in BUFFERS[group.optimizer]
            for name, param in group.params.items()
        }

    def clip(self) -> float:
        """Shorten the gradients to `grad_clip`; returns their norm before. If it is NaN or infinite, leave the step out."""
        return clip_([gradient(name, param) for group in self.groups for name, param in group.params.items()], self.settings.grad_clip)

    def step(self, lr_multiplier: float) -> None:
        """New weights from the gradients, with every learning rate times `lr_multiplier`."""
        self.steps += 1
        moves = [move for group in self.groups for move in self._moves(group, group.lr * lr_multiplier)]
        self._workers.map(lambda move: move(), moves)

    def _moves(self, group: Group, lr: float) -> Iterator[Callable[[], None]]:
        """What is left to do for a group, in parts that do not touch one another."""
        params = [*group.params.values()]
        grads = [gradient(name, param) for name, param in group.params.items()]
        buffers, decay, ours = self._buffers(group), group.weight_decay, self.settings
        if group.optimizer == "muon":
            for places in stacks(params):
                stack = [[side[place] for place in places] for side in (params, grads, *buffers)]
                yield partial(muon_, *stack, lr=lr, weight_decay=decay, momentum=ours.momentum, dtype=self._dtype)
        else:
            rates = {"beta1": ours.beta1, "beta2": ours.beta2, "eps": ours.eps}
            yield partial(adamw_, params, grads, buffers[0], buffers[1], step=self.steps, lr=lr, weight_decay=decay, **rates)

    def _buffers(self, group: Group) -> list[list[Tensor]]:
        """The state of a group's parameters, one list a buffer."""
        return [[self._state[f"{group.optimizer}.{buffer}.{name}"] for name in group.params] for buffer in BUFFERS[group.optimizer]]

    def state(self) -> dict[str, Tensor]:
        """The tensors to save beside `steps`: the live ones, so save before the next step."""
        return dict(self._state)

    def load(self, tensors: Mapping[str, Tensor], steps: int) -> None:
        """Go on from a saved state. CheckpointError if it is not one of the same parameters and kind; then nothing has changed."""
        shapes, expected = ({name: tuple(t.shape) for name, t in side.items()} for side in (tensors, self._state))
        if shapes != expected:
            name = min(name for name in shapes | expected if shapes.get(name) != expected.get(name))
            found, wanted = (f"of shape {side[name]}" if name in side else "absent" for side in (shapes, expected))
            raise CheckpointError(
                f"{name} is {found} in the saved optimizer",
                where=name,
                expected=wanted,
                hint="resume with the run's own model and optim.kind",
            )
        for name, tensor in tensors.items():
            self._state[name].copy_(tensor)
        self.steps = steps

    def describe(self) -> list[dict[str, Any]]:
        """A row a group: name, optimizer, tensors, parameters, lr, weight_decay."""
        return [group.row() for group in self.groups]


def gradient(name: str, param: Tensor) -> Tensor:
    """Of a parameter; without one, the shared count of steps would be wrong for it."""
    assert param.grad is not None, f"{name} has no gradient"
    return param.grad
