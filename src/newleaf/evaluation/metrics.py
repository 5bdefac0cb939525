"""What was written and what should have been in, figures with standard errors out.

chrF and BLEU are sacrebleu's (extra `eval`), BLEU with its Chinese tokens where the references are Chinese. Words are those between spaces,
and each Chinese character is one.
"""

import math
import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

RESAMPLES = 50  # of the texts, for a standard error by bootstrap (Koehn 2004)
HAN = "\u3400-\u4dbf\u4e00-\u9fff\u3040-\u30ff"
WORDS = re.compile(f"[{HAN}]|[^\\s{HAN}]+")
ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation + "，。！？；：、“”‘’（）《》【】—…·「」『』")


@dataclass(frozen=True)
class Figure:
    """A mean and its standard error; None where one example alone was judged."""

    value: float
    stderr: float | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def mean(values: Sequence[float]) -> Figure:
    """Of values that are independent.

    >>> mean([0.0, 1.0, 1.0, 0.0])
    Figure(value=0.5, stderr=0.28867513459481287)
    """
    found = np.asarray(values, float)
    return Figure(float(found.mean()), float(found.std(ddof=1) / math.sqrt(len(found))) if len(found) > 1 else None)


def perplexity(nats: Sequence[float]) -> Figure:
    """Of texts that cost so much each; its standard error is that of the mean, carried through the exponential.

    >>> perplexity([0.0, 2.0])
    Figure(value=2.718281828459045, stderr=2.718281828459045)
    """
    found = mean(nats)
    value = math.exp(min(found.value, 700.0))
    return Figure(value, None if found.stderr is None else value * found.stderr)


def words(text: str) -> list[str]:
    """
    >>> words("GPT 是一个 language model。")
    ['GPT', '是', '一', '个', 'language', 'model。']
    """
    return WORDS.findall(text)


def normal(text: str) -> list[str]:
    """As SQuAD's script compares answers: no case, no punctuation, no articles."""
    return words(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)))


def exact_match(written: str, wanted: str) -> float:
    """
    >>> exact_match("The cat.", "cat"), exact_match("A dog", "cat")
    (1.0, 0.0)
    """
    return float(normal(written) == normal(wanted))


def f1(written: str, wanted: str) -> float:
    """Of the words of both, as SQuAD's script (Rajpurkar et al. 2016).

    >>> f1("the black cat", "a cat"), f1("北京市", "北京")
    (0.6666666666666666, 0.8)
    """
    found, expected = normal(written), normal(wanted)
    common = sum((Counter(found) & Counter(expected)).values())
    return harmonic(common, len(found), len(expected))


def rouge_l(written: str, wanted: str) -> float:
    """F-measure of the longest common subsequence of words (Lin 2004).

    >>> rouge_l("police kill the gunman", "police killed the gunman")
    0.75
    """
    found, expected = words(written.lower()), words(wanted.lower())
    return harmonic(common_subsequence(found, expected), len(found), len(expected))


def harmonic(common: int, found: int, expected: int) -> float:
    return 2 * common / (found + expected) if common else float(not found and not expected)


def common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest one, by whole rows of the table as the bits of one number (Crochemore et al. 2001).

    >>> common_subsequence("abcbdab", "bdcaba")
    4
    """
    places: dict[str, int] = {}
    for place, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << place
    whole = row = (1 << len(first)) - 1
    for word in second:
        matches = row & places.get(word, 0)
        row = (row + matches | row - matches) & whole
    return len(first) - row.bit_count()


EACH: dict[str, Callable[[str, str], float]] = {"exact_match": exact_match, "f1": f1, "rouge_l": rouge_l}
TOGETHER = ("chrf", "bleu")  # of all texts at once


def installed(name: str) -> bool:
    """Whether there is a library for this metric."""
    return name in EACH or find_spec("sacrebleu") is not None


def figure(name: str, written: Sequence[str], wanted: Sequence[Sequence[str]]) -> Figure:
    """One metric of texts, each with the answers that would be right: 0 to 1, chrF and BLEU 0 to 100."""
    if name in EACH:
        return mean([max(EACH[name](text, answer) for answer in answers) for text, answers in zip(written, wanted, strict=True)])
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    chinese = sum(len(re.findall(f"[{HAN}]", answers[0])) > len(answers[0]) / 3 for answers in wanted) > len(wanted) / 2
    metric: Any = CHRF() if name == "chrf" else BLEU(tokenize="zh" if chinese else "13a", effective_order=False)
    references = [[answers[min(number, len(answers) - 1)] for answers in wanted] for number in range(max(map(len, wanted)))]

    def score(some: Sequence[int]) -> float:
        return float(
            metric.corpus_score([written[place] for place in some], [[each[place] for place in some] for each in references]).score
        )

    places, random = list(range(len(written))), np.random.default_rng(0)
    again = [score(random.choice(places, len(places)).tolist()) for _ in range(RESAMPLES)] if len(places) > 1 else []
    return Figure(score(places), float(np.std(again, ddof=1)) if again else None)
