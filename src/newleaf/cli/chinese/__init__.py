"""An error in, the same in Chinese out. The English stays where it is raised; here every template of it stands beside its Chinese.

So whoever raises an error writes one sentence, in English, as Python and tests read it, and tests/cli/test_chinese.py, which reads the
source, says which row is then missing here. What no row fits stays English: nothing that an error says is ever lost. Imported only
when there is an error to tell in Chinese.
"""

import re

from newleaf.cli.chinese import command, exports, model, runs, system, tasks, text
from newleaf.cli.chinese.phrases import Table
from newleaf.errors import NewleafError, one_line

MESSAGES = Table(text.MESSAGES | tasks.MESSAGES | exports.MESSAGES | model.MESSAGES | runs.MESSAGES | command.MESSAGES | command.PARSER)
EXPECTED = Table(text.EXPECTED | tasks.EXPECTED | exports.EXPECTED | model.EXPECTED | runs.EXPECTED | command.EXPECTED)
HINTS = Table(text.HINTS | tasks.HINTS | exports.HINTS | model.HINTS | runs.HINTS | command.HINTS)
REASONS = Table(text.REASONS | tasks.REASONS | exports.REASONS | runs.REASONS | system.REASONS)
PROBLEMS = Table(runs.PROBLEMS)
SHORT = 6  # characters of a row's own: "{name} is {value}" fits too much to be asked about a part of a sentence


def translate(error: NewleafError) -> tuple[str, dict[str, str | None]]:
    """The sentence, and the parts for `--json`: those of `NewleafError.as_json`, `type` and `where` as they are.

    >>> translate(NewleafError("poems.txt is no model", where="poems.txt", expected="a run directory", hint="did you mean poems?"))[0]
    'poems.txt 不是模型（应为训练目录）；是不是想写 poems？'
    """
    try:
        message, expected, hint = in_chinese(error.message), expected_in_chinese(error.expected or ""), hint_in_chinese(error.hint or "")
    except RecursionError:  # "not text: not text: …" a thousand times: the English will do
        return str(error), error.as_json()
    parts = error.as_json() | {"expected": expected.removeprefix("应") or None, "hint": hint or None}
    if message is not None:
        place = f"{error.where}：" if error.where and error.where not in error.message else ""
        parts["message"] = composed(place + message, expected, hint)
    return str(parts["message"]), parts


def composed(message: str, expected: str, hint: str) -> str:
    """One sentence on one line."""
    if expected:
        message += f"（{expected}）" if expected.startswith("应") else f"（应为{' ' * expected[:1].isascii()}{expected}）"
    if hint:
        message += ("" if message.endswith("？") else "；") + hint
    sentence = one_line(message)
    return sentence if sentence.endswith("？") else f"{sentence}。"


def in_chinese(message: str) -> str | None:
    """What happened, or None if no row fits."""
    return MESSAGES.find(message, KINDS)


def expected_in_chinese(expected: str) -> str:
    """What should have been; it begins with 应 where 应为 could not stand before it."""
    if chinese := EXPECTED.find(expected, KINDS):
        return chinese
    if re.fullmatch(r"\S+( or \S+)+", expected):  # a choice of names
        return "、".join(expected.split(" or ")[:-1]) + " 或 " + expected.split(" or ")[-1]
    return expected


def hint_in_chinese(hint: str) -> str:
    """What to do."""
    return HINTS.find(hint.rstrip("."), KINDS) or hint.rstrip(".")


# words of ours within a sentence ----------------------------------------------------------------------------------------


def reason(english: str) -> str:
    """Why, in our words or in those of the system; or a message of ours.

    >>> reason("Is a directory"), reason("config.json is damaged"), reason("the stars")
    ('是一个目录', 'config.json 已损坏', 'the stars')
    """
    small = english[:1].lower() + english[1:]
    return REASONS.find(english, KINDS) or REASONS.find(small, KINDS) or MESSAGES.find(english, KINDS, SHORT) or english


def sentence(english: str) -> str:
    """The whole of another error, taken apart as `NewleafError.__str__` put it together.

    >>> sentence("config.json: 'width' is 'x' (expected a whole number).")
    "config.json：'width' 的值是 'x'（应为整数）"
    """
    known = re.fullmatch(r"(?:(\S+): )?(.+?)(?: \(expected (.+?)\))?(?:; (.+?))?[.]?", english, re.DOTALL)
    if known is None or (message := MESSAGES.find(known[2], KINDS, 1 if known[3] else SHORT)) is None:
        return reason(english)
    place = f"{known[1]}：" if known[1] else ""
    return composed(place + message, expected_in_chinese(known[3] or ""), hint_in_chinese(known[4] or "")).removesuffix("。")


def problem(english: str) -> str:
    """What is wrong with a file, after its name.

    >>> problem("is damaged in line 3"), problem("config.json is damaged: Expecting value: line 1 column 1 (char 0).")
    ('第 3 行已损坏', 'config.json 已损坏：第 1 行第 1 列（第 0 个字符）缺少值')
    """
    return PROBLEMS.find(english, KINDS) or sentence(english)


def left_out(english: str) -> str:
    """Files and rows with the reasons why they were left out.

    >>> left_out("a.png: not text; b.csv: more rows: empty; c: d: hidden; and 3 more")
    'a.png：不是文本；b.csv 的其余各行：没有内容；c: d：隐藏的文件或文件夹；另有 3 项'
    """
    return "；".join(map(item, english.split("; ")))


def item(english: str) -> str:
    """One of them; the name may hold a colon, and so may the reason."""
    if more := re.fullmatch(r"and ([\d,]+) more", english):
        return f"另有 {more[1]} 项"
    for colon in re.finditer(": ", english):
        name, why = english[: colon.start()], english[colon.end() :]
        if (chinese := reason(why)) != why:
            rows = name.removesuffix(": more rows")
            return f"{rows} 的其余各行：{chinese}" if rows != name else f"{name}：{chinese}"
    return english


def names(english: str) -> str:
    """The first few of a list of names."""
    return re.sub(r" and ([\d,]+) more$", r" 等，另有 \1 个", english)


def flags(english: str) -> str:
    """--minutes and --steps."""
    return english.replace(" and --", " 和 --")


KINDS = {"why": reason, "sentence": sentence, "items": left_out, "names": names, "flags": flags}
