"""Questions and the passages that answer them in, how often these are found out: by what a model makes of both, by BM25, by TF-IDF.

The last two are what a model has to beat (scikit-learn, extra `eval`). Their terms are words, Chinese characters, and pairs of these.
"""

import re
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np

from newleaf.evaluation.choice import Item
from newleaf.evaluation.metrics import HAN, Figure, mean

TERMS = re.compile(rf"[{HAN}]|[^\W{HAN}]+")
K1, B = 1.2, 0.75  # of BM25, as Lucene has them
AT = (1, 10)  # passages that are looked at

Embed = Callable[[Sequence[str]], np.ndarray]  # (N, W), each of length 1


def measured(embed: Embed, items: Sequence[Item]) -> dict[str, Any]:
    """{recall_at_1, recall_at_10, rivals: {bm25, tf-idf: the same}}: a question is an item's prompt, its passage the choice; passages that
    several questions share count once."""
    passages = list(dict.fromkeys(item.choices[0] for item in items))
    places = {passage: place for place, passage in enumerate(passages)}
    asked, right = [item.prompt for item in items], np.array([places[item.choices[0]] for item in items])
    found: dict[str, Any] = {name: each.as_json() for name, each in recall(embed(asked) @ embed(passages).T, right).items()}
    if find_spec("sklearn") is not None:
        scores = {"bm25": bm25(asked, passages), "tf-idf": tfidf(asked, passages)}
        found["rivals"] = {name: {key: each.as_json() for key, each in recall(table, right).items()} for name, table in scores.items()}
    return found


def recall(scores: np.ndarray, right: np.ndarray) -> dict[str, Figure]:
    """How often the right passage is among the best: scores (questions, passages), numbers of the right ones (questions). Of passages with
    the same score the right one comes last.

    >>> recall(np.array([[0.9, 0.1], [0.7, 0.7]]), np.array([0, 1]))["recall_at_1"].value
    0.5
    """
    ahead = (scores >= scores[np.arange(len(right)), right][:, None]).sum(1)
    return {f"recall_at_{most}": mean((ahead <= most).astype(float).tolist()) for most in AT}


def terms(text: str) -> list[str]:
    """
    >>> terms("新叶 Leaf?")
    ['新', '叶', 'leaf', '新叶', '叶leaf']
    """
    found = TERMS.findall(text.lower())
    return [*found, *("".join(pair) for pair in pairwise(found))]


def bm25(asked: Sequence[str], passages: Sequence[str]) -> np.ndarray:
    """(questions, passages) by Robertson and Zaragoza (2009), with the inverse document frequency of Lucene."""
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(analyzer=terms)
    counts = vectorizer.fit_transform(passages).tocsc().astype(np.float64)
    lengths = np.asarray(counts.sum(1))[:, 0]
    there = np.diff(counts.indptr)
    frequency = np.log1p((len(passages) - there + 0.5) / (there + 0.5))
    allowance = K1 * (1 - B + B * lengths / lengths.mean())
    counts.data *= (K1 + 1) / (counts.data + allowance[counts.indices])
    weights = counts.multiply(frequency).tocsr()
    return np.asarray((vectorizer.transform(asked) @ weights.T).todense())


def tfidf(asked: Sequence[str], passages: Sequence[str]) -> np.ndarray:
    """(questions, passages) cosines."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer=terms, sublinear_tf=True)
    known = vectorizer.fit_transform(passages)
    return np.asarray((vectorizer.transform(asked) @ known.T).todense())
