"""What a step must not be: NaN, infinite, or absurdly worse than the steps before it.

Rejected steps never enter the statistics, so that one bad step cannot poison the judgement of the next.
"""

import math

from newleaf.checkpoint.state import State

SPIKE = 10.0  # times the typical loss: no healthy batch of real text comes near it
NO_SPIKE = 2.0  # nats: a few wrong labels, where nearly all is known by heart, cost as much
MEMORY = 0.95  # of the running mean


class BadStep(Exception):
    """A step whose result must not be kept. Training goes back and on with other data."""


def judge(state: State, loss: float, grad_norm: float) -> None:
    """Raise BadStep, or take the step into the statistics of `state`."""
    if not math.isfinite(loss):
        raise BadStep(f"the loss is {loss}")
    if not math.isfinite(grad_norm):
        raise BadStep(f"the gradient norm is {grad_norm}")
    if state.typical_loss is not None and loss > max(NO_SPIKE, SPIKE * state.typical_loss):
        raise BadStep(f"the loss jumped to {loss:.3g} from about {state.typical_loss:.3g}")
    state.typical_loss = loss if state.typical_loss is None else MEMORY * state.typical_loss + (1 - MEMORY) * loss
