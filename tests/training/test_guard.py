"""What a step must not be is told from what is merely unlucky."""

import pytest

from newleaf.checkpoint.state import State
from newleaf.training.guard import BadStep, judge


def test_a_wrong_label_in_what_is_known_by_heart_is_no_catastrophe() -> None:
    state = State(micro_batch=1)
    for loss in [0.05] * 50 + [0.9, 0.05, 1.9]:
        judge(state, loss, 1.0)
    with pytest.raises(BadStep, match=r"the loss jumped to 2\.1 from about "):
        judge(state, 2.1, 1.0)
