"""Text to token files: MB/s on two threads, beside tiktoken's own rate on one, on the same text in the same run.

    python lab/bench/tokens.py FILE_OR_FOLDER       (or NEWLEAF_DATA=FOLDER)

Prints one JSON line. `ratio` compares whole work, from documents to files on disk, with tiktoken's `encode_ordinary` alone;
`split_ratio` is tiktoken's rate with the split as this project writes it over its rate with the split as Qwen publishes it;
`worst_growth` is t(2n) / t(n) of encoding at 1 and 2 million characters, the worst of some thirty texts made to be slow.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import tiktoken

from newleaf.tokens.shards import write_shards
from newleaf.tokens.tokenizer import Tokenizer
from newleaf.training.clock import Budget
from newleaf.training.reading import choose_vocabulary

THREADS, ROUNDS = 2, 7
MOST_BYTES, SAMPLE_CHARACTERS = 20_000_000, 5_000_000
CHARACTERS = 2_000_000  # of a text made to be slow
UNITS = (
    *(" ", "\t", "\n", "\r\n", " \n", "\n ", "\u3000", "\xa0 ", "a", "A", "ab", "é", "e\u0301", "汉", "汉字", "。", "汉。", "1", "12 "),
    *("!", "!\n", "! ", "'", "'s", "' ", "a'", " a", "🙂", "🇨🇳", "\0", "<|endoftext|>", " " * 99_999 + "x", "a" * 70_000 + "\n", "\u200b"),
)
PUBLISHED = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def documents(place: Path) -> list[str]:
    """The text files of a folder, or one file, up to 20 MB."""
    found: list[str] = []
    size = 0
    for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
        if path.suffix in (".txt", ".py", ".md", ".jsonl") or path == place:
            data = path.read_bytes()[: MOST_BYTES - size]
            found.append(data.decode("utf-8", errors="ignore"))
            size += len(data)
        if size >= MOST_BYTES:
            break
    return found


def growth(tokenizer: Tokenizer) -> tuple[str, float]:
    """Of texts made to be slow, the one where twice the text takes the most times as long to encode, and how many times."""

    def seconds(text: str) -> float:
        start = process_time()
        tokenizer.encode(text)
        return process_time() - start

    worst = ("", 0.0)
    for unit in UNITS:
        text = unit * (CHARACTERS // len(unit))
        factors = [seconds(text) / seconds(text[: len(text) // 2]) for _ in range(3)]
        worst = max(worst, (unit, median(factors)), key=lambda entry: entry[1])
    return worst


def main() -> None:
    place = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("NEWLEAF_DATA")
    if place is None:
        print(json.dumps({"benchmark": "tokens", "skipped": "name a file or a folder of text, or set NEWLEAF_DATA"}))
        return
    texts = documents(Path(place))
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    sample = "".join(texts)[:SAMPLE_CHARACTERS]
    start = perf_counter()
    tokenizer = Tokenizer.train([sample], choose_vocabulary(Budget(epochs=1), round(megabytes * 1e6)))
    training = perf_counter() - start

    ranks = {tokenizer.token_bytes(id): id for id in range(tokenizer.vocab_size) if not tokenizer.is_special(id)}
    pattern = tokenizer.as_json()["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
    ours = tiktoken.Encoding("ours", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    published = tiktoken.Encoding("published", pat_str=PUBLISHED, mergeable_ranks=ranks, special_tokens={})
    seconds: dict[str, list[float]] = {"shards": [], "tiktoken": [], "published": []}
    num_tokens = 0
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            start = perf_counter()
            num_tokens = write_shards(Path(folder), "train", texts, tokenizer, THREADS)["num_tokens"]
            seconds["shards"].append(perf_counter() - start)
            for name, encoding in (("tiktoken", ours), ("published", published)):
                start = perf_counter()
                for text in texts:
                    encoding.encode_ordinary(text)
                seconds[name].append(perf_counter() - start)
    rate = {name: megabytes / median(values) for name, values in seconds.items()}
    unit, factor = growth(tokenizer)
    result = {
        "benchmark": "tokens",
        "megabytes": round(megabytes, 2),
        "vocab_size": tokenizer.vocab_size,
        "bytes_per_token": round(megabytes * 1e6 / num_tokens, 3),
        "threads": THREADS,
        "shards_mb_per_second": round(rate["shards"], 2),
        "tiktoken_mb_per_second": round(rate["tiktoken"], 2),
        "ratio": round(rate["shards"] / rate["tiktoken"], 2),
        "split_ratio": round(rate["tiktoken"] / rate["published"], 2),
        "worst_growth": round(factor, 2),
        "worst_growth_unit": unit[:8],
        "training_mb_per_second": round(len(sample.encode()) / 1e6 / training, 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
