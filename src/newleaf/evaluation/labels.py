"""Labels and how likely each was found in, figures out."""

from typing import Any

import numpy as np

from newleaf.evaluation.metrics import Figure, mean

BINS = 10  # of confidence


def label_figures(labels: np.ndarray, log_probabilities: np.ndarray) -> dict[str, Any]:
    """{accuracy, macro_f1, calibration_error}, each {value, stderr}: labels (N), log-probabilities (N, labels).

    >>> found = label_figures(np.array([0, 1]), np.log(np.array([[0.9, 0.1], [0.8, 0.2]])))
    >>> found["accuracy"]["value"], round(found["calibration_error"]["value"], 2)
    (0.5, 0.45)
    """
    found, right = log_probabilities.argmax(1), log_probabilities.argmax(1) == labels
    table = confusion(labels, found, max(log_probabilities.shape[1], int(labels.max()) + 1))
    return {
        "accuracy": mean(right.astype(float).tolist()).as_json(),
        "macro_f1": {"value": macro_f1(table), "stderr": None},
        "calibration_error": {"value": calibration_error(right, np.exp(log_probabilities.max(1))), "stderr": None},
    }


def gain(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> Figure:
    """By how much the second of two models is more accurate on the same texts, labels (N), log-probabilities (N, labels) of each. They are
    compared text by text, so that what is hard for both is no error of the difference.

    >>> gain(np.array([0, 1]), np.log(np.array([[0.9, 0.1], [0.8, 0.2]])), np.log(np.array([[0.6, 0.4], [0.3, 0.7]])))
    Figure(value=0.5, stderr=0.5)
    """
    right = [(found.argmax(1) == labels).astype(float) for found in (first, second)]
    return mean((right[1] - right[0]).tolist())


def confusion(labels: np.ndarray, found: np.ndarray, num_labels: int) -> np.ndarray:
    """(labels, labels) how often each label (a row) was taken for each (a column)."""
    return np.bincount(labels * num_labels + found, minlength=num_labels**2).reshape(num_labels, num_labels)


def macro_f1(table: np.ndarray) -> float:
    """The mean over the labels that occur of 2 right / (there + found)."""
    there, found, right = table.sum(1), table.sum(0), table.diagonal()
    occurring = there > 0
    return float((2 * right[occurring] / (there + found)[occurring]).mean())


def calibration_error(right: np.ndarray, confidence: np.ndarray) -> float:
    """Expected calibration error (Naeini et al. 2015): how far confidence is from accuracy, over bins of confidence."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    parts = [bins == each for each in range(BINS) if (bins == each).any()]
    return float(sum(abs(right[part].mean() - confidence[part].mean()) * part.mean() for part in parts))
