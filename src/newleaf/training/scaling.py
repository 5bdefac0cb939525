"""How well a model of some size will do after some tokens: a scaling law, and what it says of sizes. Imports no torch.

The form is that of Hoffmann et al. 2022 (arXiv 2203.15556, approach 3), an excess over what the text's own entropy leaves,

    A / parameters^alpha + B / tokens^beta

with what repeated text is worth from Muennighoff et al. 2023 (arXiv 2305.16264). A, B and the powers are fitted to 19 runs of 0.3 to
2 million parameters on 0.3 to 2.4 million tokens of code (lab/LOG.md, 2026-11-24); no floor was found below what these runs reach.
"""

import math

PARAMETER_COST, PARAMETER_POWER = 0.92, 0.31  # in nats a token at a million parameters in products; the fit itself gives 0.68, but
# then the law prefers models that are smaller than those that won at 40, 100 and 300 CPU seconds (0.3, 0.6 and 1 million)
TOKEN_COST, TOKEN_POWER = 1.45, 0.34  # at a million tokens
REPEAT_WORTH = 5.0  # R*_D: Muennighoff et al. found 15.4; on a megabyte a model that reads less often but is larger ends lower (lab/LOG.md)
EXCESS_WORTH = 5.3  # R*_N of Muennighoff et al. 2023


def excess_loss(parameters: float, tokens: float, unique_tokens: float) -> float:
    """Nats a token above the text's own entropy: only differences count. `parameters` are the weights in matrix products.

    >>> excess_loss(1e6, 1e7, 1e9) > excess_loss(1e6, 2e7, 1e9)
    True
    """
    worth, affordable = worth_of(tokens, unique_tokens), affordable_parameters(tokens, unique_tokens)
    useful = affordable * diminishing(parameters / affordable, EXCESS_WORTH)
    return float(PARAMETER_COST * (useful / 1e6) ** -PARAMETER_POWER + TOKEN_COST * (worth / 1e6) ** -TOKEN_POWER)


def affordable_parameters(tokens: float, unique_tokens: float) -> float:
    """The size at which as much is gained by some more parameters as by as many more tokens: what a budget of any time would choose.

    >>> affordable_parameters(1e6, 1e9) < affordable_parameters(1e7, 1e9)
    True
    """
    ratio = TOKEN_COST * TOKEN_POWER / (PARAMETER_COST * PARAMETER_POWER)
    return float(1e6 * (ratio * (worth_of(tokens, unique_tokens) / 1e6) ** -TOKEN_POWER) ** (-1 / PARAMETER_POWER))


def worth_of(tokens: float, unique_tokens: float) -> float:
    """Fresh tokens that would teach as much as `tokens` of a text that has `unique_tokens`."""
    return unique_tokens * diminishing(tokens / unique_tokens, REPEAT_WORTH)


def diminishing(times: float, worth: float) -> float:
    """How often a thing counts that is had `times` times, where each further time is worth less.

    >>> diminishing(0.5, 15.4), diminishing(1.0, 15.4), round(diminishing(1e9, 15.4), 1)
    (0.5, 1.0, 16.4)
    """
    return times if times <= 1 else 1 + worth * (1 - math.exp(-(times - 1) / worth))
