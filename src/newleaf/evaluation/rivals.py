"""What a tuned model has to beat on labels, with no network in it: the most frequent label, and TF-IDF with logistic regression.

The second is scikit-learn's (extra `eval`): runs of 1 to 3 characters, and of words where texts have spaces; C by cross-validation.
"""

import warnings
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

CHOICES = (1.0, 4.0, 16.0)  # of C
FOLDS = 3
MOST_COMPARED = 4_000  # texts by which C is chosen
MOST_FEATURES = 200_000
BYTES_A_SECOND = 80_000  # of text, on two cores (2 MB of news in 25 s)
SPACED = 0.1  # so large a share of spaces means that there are words


def majority(labels: Sequence[str]) -> str:
    """The most frequent one."""
    return Counter(labels).most_common(1)[0][0]


def certain(found: Sequence[int], num_labels: int) -> np.ndarray:
    """(N, labels) log-probabilities of who is sure of each."""
    scores = np.full((len(found), num_labels), -np.inf)
    scores[np.arange(len(found)), list(found)] = 0.0
    return scores


def installed() -> bool:
    """Whether there is scikit-learn."""
    return find_spec("sklearn") is not None


def tfidf(texts: Sequence[str], labels: Sequence[str], names: Sequence[str], test: Sequence[str], seed: int = 0) -> np.ndarray:
    """(N, names) log-probabilities for the texts of `test`, from the labels that `texts` have."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_union

    kinds: list[dict[str, Any]] = [{"analyzer": "char", "ngram_range": (1, 3)}]
    if np.mean([text.count(" ") / max(1, len(text)) for text in texts[:1000]]) > SPACED:
        kinds.append({"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"\S+"})
    rare = 2 if len(texts) > 500 else 1
    vectorizers = [TfidfVectorizer(min_df=rare, sublinear_tf=True, max_features=MOST_FEATURES, **kind) for kind in kinds]
    seen = make_union(*vectorizers)
    known = seen.fit_transform(texts)
    drawn = np.random.default_rng(seed).permutation(len(labels))[:MOST_COMPARED]  # a file may be sorted by label
    best, some = CHOICES[1], [labels[place] for place in drawn]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence: what it reaches is what is judged
        if min(Counter(some).values()) >= FOLDS:
            folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
            part = known[drawn]
            found = {c: cross_val_score(regression(LogisticRegression, c, some), part, some, cv=folds).mean() for c in CHOICES}
            best = max(found, key=found.__getitem__)
        model = regression(LogisticRegression, best, labels).fit(known, labels)
    scores = np.full((len(test), len(names)), -np.inf)
    scores[:, [list(names).index(str(label)) for label in model.classes_]] = np.log(model.predict_proba(seen.transform(test)).clip(1e-12))
    return scores


def regression(kind: Any, c: float, labels: Sequence[str]) -> Any:
    from sklearn.multiclass import OneVsRestClassifier

    model = kind(C=c, max_iter=200, solver="liblinear")
    return model if len(set(labels)) == 2 else OneVsRestClassifier(model)
