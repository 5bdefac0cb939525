"""What moves which parameters, as a table for people. A Chinese character is two columns of a terminal wide."""

import unicodedata
from collections.abc import Sequence
from typing import Any

HEADINGS = {
    False: ("group", "optimizer", "tensors", "parameters", "lr", "decay"),
    True: ("参数组", "优化器", "张量数", "参数量", "学习率", "权重衰减"),
}
CHINESE = {"matrices": "矩阵", "embeddings": "嵌入", "head": "输出层", "norms and biases": "归一化与偏置"}
WIDTHS = (-16, -9, 7, 12, 8, 8)  # in columns; the first two begin at the left


def groups_table(rows: Sequence[dict[str, Any]], chinese: bool = False) -> list[str]:
    """Lines of text from the rows of `Optimizer.describe`.

    >>> rows = [{"name": "head", "optimizer": "adamw", "tensors": 1, "parameters": 64000, "lr": 0.001, "weight_decay": 0.0}]
    >>> print("\\n".join([*groups_table(rows), *groups_table(rows, chinese=True)]))
    group             optimizer  tensors    parameters        lr     decay
    head              adamw            1        64,000     0.001         0
    参数组            优化器      张量数        参数量    学习率  权重衰减
    输出层            adamw            1        64,000     0.001         0
    """
    lines = [HEADINGS[chinese]]
    for row in rows:
        name = CHINESE.get(row["name"], row["name"]) if chinese else row["name"]
        figures = (f"{row['tensors']}", f"{row['parameters']:,}", f"{row['lr']:.4g}", f"{row['weight_decay']:.4g}")
        lines.append((name, row["optimizer"], *figures))
    return ["  ".join(padded(text, width) for text, width in zip(line, WIDTHS, strict=True)) for line in lines]


def padded(text: str, width: int) -> str:
    """With spaces to so many columns: behind it where `width` is below 0, else before it."""
    spaces = " " * (abs(width) - columns(text))
    return text + spaces if width < 0 else spaces + text


def columns(text: str) -> int:
    """How wide a terminal shows a line.

    >>> columns("leaf"), columns("新叶")
    (4, 4)
    """
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
