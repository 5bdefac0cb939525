"""A trained model and its text in, what it writes and how much of that is its own out: as much as the budget allows.

Under a budget in minutes the writing and the search for copies take one hundredth of it at most, and the clock counts with them; without
one, the amounts are fixed, so that the same run gives the same figures.
"""

from dataclasses import dataclass
from typing import Any

from newleaf.evaluation.between import Between
from newleaf.evaluation.originality import SAMPLE_TOKENS, SEARCHED_A_SECOND, Opening, continuations, openings, originality
from newleaf.model.decoder import Decoder
from newleaf.training.clock import Stopwatch
from newleaf.training.prepare import Data

MOST_SAMPLES, SAMPLES_IN_STEPS = 32, 8  # where there is a clock, and where there is none
WRITING_SHARE, SEARCH_SHARE = 0.007, 0.003  # of a budget in minutes


@dataclass
class Writing:
    """`budget`: seconds of the whole command, or None where the clock does not matter."""

    data: Data
    budget: float | None
    stopwatch: Stopwatch
    token_seconds: float = 0.0  # that a token took to write, as far as measured

    @property
    def searched_tokens(self) -> int:
        """Of the training text, from its end: in how much of it copies are looked for."""
        num_tokens = len(self.data.train)
        return num_tokens if self.budget is None else min(num_tokens, int(SEARCH_SHARE * self.budget * SEARCHED_A_SECOND))

    def seconds(self) -> float:
        """What is still to come, as far as is known; where there is no clock, nobody asks."""
        if self.budget is None:
            return 0.0
        share, known = WRITING_SHARE * self.budget, MOST_SAMPLES * SAMPLE_TOKENS * self.token_seconds
        return (min(share, known) if known else share) + self.searched_tokens / SEARCHED_A_SECOND

    def compared(self, model: Decoder, between: Between) -> dict[str, Any] | None:
        """`originality` of samples, beside what people wrote at the same places. `between` is called now and then."""
        most, tokenizer, began = SAMPLES_IN_STEPS if self.budget is None else MOST_SAMPLES, self.data.tokenizer, self.stopwatch()
        places = openings(self.data.val, tokenizer.end_of_text, model.config.context, most)
        written, used = [], dict[int, Opening]()
        for number, (ids, place) in enumerate(continuations(model, tokenizer, places, most), start=1):
            written.append(ids)
            used[id(place)] = place
            between(number / most)
            if self.budget is not None and (self.stopwatch() - began) * (1 + 1 / number) > WRITING_SHARE * self.budget:
                break  # one more would take too long
        held_out = [place.follows for place in used.values()]
        return originality(written, held_out, self.data.train, tokenizer, len(self.data.train) - self.searched_tokens)
