"""A few examples for each task, and the ways in which a tiny model is tuned on them."""

from typing import Any

STEPS = ["--steps", "12", "--train.threads", "1", "--train.precision", "float32", "--train.checkpoint_every", "3"]
SEASONS = ["spring", "summer", "autumn", "winter"]
DATA: dict[str, list[dict[str, Any]]] = {
    "chat": [{"messages": [{"role": "user", "content": f"{n} + 1?"}, {"role": "assistant", "content": f"{n + 1}"}]} for n in range(110)],
    "classify": [{"text": f"a day in {SEASONS[n % 4]}, the {n}th", "label": SEASONS[n % 4]} for n in range(80)],
    "translate": [{"en": f"leaf {n}", "zh": f"叶 {n}"} for n in range(110)],
    "complete": [{"title": f"题 {n}", "paragraphs": [f"一句 {n}", "又一句"]} for n in range(110)],
    "qa": [{"context": f"The leaf is {n} days old.", "question": "How old?", "answer": f"{n} days"} for n in range(110)],
    "prefer": [{"prompt": f"say {n}", "chosen": f"{n}", "rejected": "no"} for n in range(110)],
}
ADAPTED = {"chat with adapters": ["--lora"], "classify with adapters": ["--lora", "--tune.rank", "2", "--tune.int8", "true"]}
SPELLED = {"classify by text": ["--tune.labels", "text"]}
WAYS: dict[str, list[str]] = {**{task: [] for task in DATA}, **ADAPTED, **SPELLED}
