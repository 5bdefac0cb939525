"""Training bytes and held-out bytes in, four figures out that say what a model's bits per byte are worth.

A byte guessed blindly costs 8 bits. Counting single bytes, counting them after the four before, and a file compressor that has
seen the training text each need fewer: a model that does not beat them has learned less than they did. All figures are bits
per byte of the same held-out text, and none of this needs torch.
"""

import lzma
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.int64]

MOST_BYTES = 4_000_000  # of training text: more would not fit the dictionary of xz -6, and costs seconds
FEWEST_BYTES = 16_000  # even where the clock leaves no room: some milliseconds, and without text there is nothing to compare with
SHARE_OF_BUDGET = 0.02
BYTES_PER_SECOND = 700_000  # on novels, code and Shakespeare: 1.5 MB a CPU second, 0.9 to 1.1 MB/s with both cores of an AMD EPYC taken
ORDER = 5  # an n-gram of five bytes: four known, one to guess


def baselines(training: bytes, held_out: bytes, tail_bytes: int = MOST_BYTES) -> dict[str, float]:
    """Bits per byte of `held_out` by each baseline, which may learn from the last `tail_bytes` of `training`.

    >>> figures = baselines(b"abab" * 100, b"abab")
    >>> figures["uniform"], figures["unigram"] > figures["fivegram"]
    (8.0, True)
    """
    if not held_out:
        raise ValueError("baselines need held-out bytes")
    tail = training[-tail_bytes:] if tail_bytes else b""
    return {"uniform": 8.0, "unigram": unigram(tail, held_out), "fivegram": fivegram(tail, held_out), "xz": xz(tail, held_out)}


def baseline_bytes(minutes: float | None, held_out_bytes: int = 256_000) -> int:
    """How much training text the baselines may read so that together they take at most 2 % of the budget.

    The held-out text, which they read whole, is at most 256 KB in a run of up to 10 minutes. Without a budget in minutes nothing
    may depend on a clock, so the answer is 4 MB. The rate is fixed, not measured on the spot, so that the same plan gives the same
    figures.

    >>> baseline_bytes(None), baseline_bytes(10), baseline_bytes(1), baseline_bytes(0.1)
    (4000000, 4000000, 292000, 16000)
    """
    if minutes is None:
        return MOST_BYTES
    affordable = SHARE_OF_BUDGET * minutes * 60 * BYTES_PER_SECOND
    return int(min(MOST_BYTES, max(FEWEST_BYTES, (affordable - held_out_bytes) / 2)))  # xz reads the tail twice


def baseline_seconds(train_bytes: int, held_out_bytes: int) -> float:
    """What they take where no clock limits them: xz reads the training text twice."""
    return (2 * min(MOST_BYTES, train_bytes) + held_out_bytes) / BYTES_PER_SECOND


def unigram(training: bytes, held_out: bytes) -> float:
    """Each byte alone, with add-one counts: p(b) = (n(b) + 1) / (n + 256)."""
    counts = np.bincount(np.frombuffer(training, np.uint8), minlength=256) + 1
    bits = -np.log2(counts / counts.sum())
    return float(bits[np.frombuffer(held_out, np.uint8)].mean())


def fivegram(training: bytes, held_out: bytes) -> float:
    """Each byte after the four before it, orders 1 to 5 interpolated by Witten and Bell's escape estimate.

    With c the known bytes, c' the same without the first, n(c b) how often b followed c and t(c) how many different bytes did:

        p(b | c) = (n(c b) + t(c) p(b | c')) / (n(c) + t(c)),   p(b | nothing seen) = 1 / 256

    (method C of Witten and Bell, IEEE Transactions on Information Theory 37(4), 1991; written as an interpolation by Chen and
    Goodman, "An Empirical Study of Smoothing Techniques", 1998, section 2.5. On text of 1 to 4 MB it beats absolute discounting
    by 2 to 4 %.) The held-out text is read as what follows the training text.
    """
    windows = np.sort(grams(training))
    following = grams(training[-(ORDER - 1) :].rjust(ORDER - 1, b"\0") + held_out)  # (len(held_out),)
    probability = np.full(len(held_out), 1 / 256)
    for seen, followed, different, inverse in counts_by_order(windows, following):
        interpolated = (seen[inverse] + different[inverse] * probability) / np.maximum(followed + different, 1)[inverse]
        probability = np.where(followed[inverse] > 0, interpolated, probability)
    return float(-np.log2(probability).mean())


def grams(text: bytes) -> Array:
    """Each run of five bytes as one number, its first byte the most significant: (len(text) - 4,).

    >>> [hex(gram) for gram in grams(b"abcdef")]
    ['0x6162636465', '0x6263646566']
    """
    values = np.frombuffer(text, np.uint8).astype(np.int64)
    length = max(0, len(values) - ORDER + 1)
    codes = np.zeros(length, np.int64)
    for place in range(ORDER):
        codes = (codes << 8) | values[place : place + length]
    return codes


def counts_by_order(windows: Array, following: Array) -> Iterator[tuple[Array, Array, Array, Array]]:
    """For orders 1 to 5: n(c b), n(c) and t(c) of each different gram (c b) looked for, and where each position finds its own.

    `windows` are sorted, so those that begin with the same bytes stand together: one sort serves every order, a count is the
    distance between two binary searches, and the borders passed between them count the different next bytes.
    """
    for order in range(1, ORDER + 1):
        wanted, inverse = np.unique(following & ((1 << 8 * order) - 1), return_inverse=True)
        shift = 8 * (ORDER - order)
        first, end = (np.searchsorted(windows, (wanted + more) << shift) for more in (0, 1))
        first_known, end_known = (np.searchsorted(windows, ((wanted >> 8) + more) << (shift + 8)) for more in (0, 1))
        borders = np.concatenate([[0], np.diff(windows >> shift, prepend=-1) != 0]).cumsum()
        yield end - first, end_known - first_known, borders[end_known] - borders[first_known], inverse


def xz(training: bytes, held_out: bytes) -> float:
    """What the held-out text adds to the compressed size of the training text, as `xz -6` would write it."""
    with ThreadPoolExecutor(max_workers=2) as pool:  # lzma lets go of the interpreter's lock
        together, alone = pool.map(compressed_bytes, (training + held_out, training))
    return 8 * (together - alone) / len(held_out)


def compressed_bytes(text: bytes) -> int:
    """The size of `text` as one .xz file, preset 6."""
    return len(lzma.compress(text, preset=6))
