"""How much of a text a budget reads, and what follows: what is held out, what the tokenizer learns from, how large a vocabulary.

Settled before anything is read; the rest of the plan is made by choices.py. Imports no torch.
"""

import math
from dataclasses import replace

from newleaf.training.clock import Budget
from newleaf.training.settings import DataSettings

SHORT_BUDGET_MINUTES = 10  # up to here a small part is held out
HELD_OUT_BYTES, HELD_OUT_BYTES_LONG = 256_000, 2_000_000
TOKENIZER_BYTES = 20_000_000  # the most that the tokenizer learns from
VOCABULARY = 1.5  # times the root: prose, Chinese too, is best at twice, code at once (lab/LOG.md, 2026-11-24)
BYTES_A_MINUTE = 4_000_000  # are read in a budget of minutes, about: 3 to 6 MB in the first on two cores (lab/LOG.md, 2026-11-24)


def choose_data(settings: DataSettings, budget: Budget) -> DataSettings:
    """What of the text is held out at most, and what the tokenizer learns from: settled before anything is read."""
    held_out = settings.held_out_bytes or held_out_bytes(budget)
    return replace(settings, held_out_bytes=held_out, tokenizer_bytes=settings.tokenizer_bytes or tokenizer_bytes(budget))


def held_out_bytes(budget: Budget) -> int:
    """At most this much is held out."""
    short = budget.minutes is not None and budget.minutes <= SHORT_BUDGET_MINUTES
    return HELD_OUT_BYTES if short else HELD_OUT_BYTES_LONG


def choose_vocabulary(budget: Budget, train_bytes: int) -> int:
    """One and a half times the root of the bytes that will be read, in multiples of 64, from 320 to 65,536 (which 2 bytes hold): what is
    never seen needs no tokens of its own, and each token of the vocabulary costs time.

    >>> [choose_vocabulary(Budget(steps=1), size) for size in (2_000, 10**6, 20 * 10**6, 10**9)]
    [320, 1472, 6720, 47424]
    >>> choose_vocabulary(Budget(minutes=1), 10**9)
    3008
    """
    return min(65_536, max(320, 64 * round(VOCABULARY * math.sqrt(bytes_read(budget, train_bytes)) / 64)))


def tokenizer_bytes(budget: Budget) -> int:
    """What the tokenizer may learn from: 0.7 s a MB (measured) must stay a small part of a budget in minutes."""
    return bytes_read(budget, TOKENIZER_BYTES)


def bytes_read(budget: Budget, available: int) -> int:
    """Of so many bytes, those that a budget in minutes has time for."""
    return available if budget.minutes is None else int(min(available, BYTES_A_MINUTE * budget.minutes))
