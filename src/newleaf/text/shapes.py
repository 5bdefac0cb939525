"""A row in, the text in it out: the shapes that people's data has, one line of the table each.

`text` comes first; conversations become "user: …", blank line, "assistant: …", with the names of roles that the data gives
(ShareGPT's human and gpt are user and assistant); a prompt is followed by its completion, or by the chosen answer, as it stands. A
list of strings is joined by line ends. Every other row needs a column: the one that was named, else its lines (a poem's
"paragraphs"), else the only column that holds strings.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
LINES = ("paragraphs", "content", "para", "lines")  # names under which poems and chapters keep their lines
ROLES = {"human": "user", "gpt": "assistant"}
MOST_NAMES, MAX_NAME = 8, 60  # of columns in a message, and the characters of each


def text_of(value: Any) -> str:
    """Of one value: a string, a list of strings or of messages; "" for everything else.

    >>> text_of(["白日依山尽", "黄河入海流"])
    '白日依山尽\\n黄河入海流'
    """
    if isinstance(value, str):
        return value
    if is_lines(value):
        return "\n".join(value)
    return conversation(value)


def is_lines(value: Any) -> bool:
    """Whether this is a list of strings."""
    return isinstance(value, list) and bool(value) and all(isinstance(line, str) for line in value)


def conversation(value: Any) -> str:
    """A message or a list of messages as readable text.

    >>> print(conversation([{"from": "human", "value": "你好"}, {"role": "assistant", "content": "你好！"}]))
    user: 你好
    <BLANKLINE>
    assistant: 你好！
    """
    messages = value if isinstance(value, list) else [value]
    return "\n\n".join(turn(message) for message in messages if isinstance(message, dict) and content(message))


def turn(message: Row) -> str:
    """One message: its role and what is said."""
    role = str(message.get("role") or message.get("from") or "user")
    return f"{ROLES.get(role, role)}: {content(message)}"


def content(message: Row) -> str:
    """What is said: a string, or a list of parts of which some are text."""
    said = message.get("content", message.get("value"))
    if isinstance(said, list):
        said = "".join(text_of(part.get("text")) for part in objects(said))
    return said if isinstance(said, str) else ""


def talk(row: Row, key: str) -> str:
    """A conversation, with the chosen answer behind it where there are two to choose from."""
    parts = [text_of(row[key]), text_of(row.get("chosen"))]
    return "\n\n".join(part for part in parts if part)


def completion(row: Row, key: str) -> str:
    """A prompt and what follows it; a line end between them where neither has white space there."""
    prompt, answer = text_of(row["prompt"]), text_of(row[key])
    joined = not prompt or not answer or prompt[-1].isspace() or answer[0].isspace()
    return prompt + ("" if joined else "\n") + answer


def alpaca(row: Row) -> str:
    """Instruction, input and output, with the turns of `history` before them; of several outputs the first, which is the best."""
    question = "\n".join(part for name in ("instruction", "input") if (part := text_of(row.get(name))))
    output = row["output"][0] if is_lines(row["output"]) else row["output"]
    history = row.get("history")
    pairs = [pair for pair in history if is_lines(pair) and len(pair) == 2] if isinstance(history, list) else []
    said = [("system", text_of(row.get("system")))]
    for asked_for, answered in [*pairs, [question, text_of(output)]]:
        said += [("user", asked_for), ("assistant", answered)]
    return conversation([{"role": role, "content": words} for role, words in said])


SHAPES: tuple[tuple[frozenset[str], Callable[[Row], str]], ...] = (  # the columns of a shape, and how it is read
    (frozenset({"text"}), lambda row: text_of(row["text"])),
    (frozenset({"messages"}), lambda row: talk(row, "messages")),
    (frozenset({"conversations"}), lambda row: talk(row, "conversations")),
    (frozenset({"prompt", "completion"}), lambda row: completion(row, "completion")),
    (frozenset({"prompt", "response"}), lambda row: completion(row, "response")),
    (frozenset({"prompt", "chosen"}), lambda row: completion(row, "chosen")),
    (frozenset({"instruction", "output"}), alpaca),
)


def shaped(row: Row) -> str | None:
    """The text of a row in one of the known shapes, None if it is in none of them.

    >>> shaped({"text": "good", "label": 1}), shaped({"prompt": "2+2=", "completion": "4"}), shaped({"title": "x", "body": "y"})
    ('good', '2+2=\\n4', None)
    """
    return next((read(row) for names, read in SHAPES if names <= row.keys()), None)


def choose_column(rows: Sequence[Row]) -> str | None:
    """The column of these rows that is their text, None if that is not plain to see.

    >>> choose_column([{"author": "李白", "title": "静夜思", "paragraphs": ["床前明月光", "疑是地上霜"]}])
    'paragraphs'
    >>> choose_column([{"sentence": "a fine film", "label": "1"}]), choose_column([{"title": "x", "body": "y"}])
    ('sentence', None)

    Columns that have only numbers for names (a table without a header) cannot be chosen by their names, so labels are told from
    text by what stands in them: again and again the same.
    """
    lists = [name for name in columns(rows) if any(is_lines(row.get(name)) for row in rows)]
    strings = [name for name in columns(rows) if any(is_prose(row.get(name)) for row in rows)]
    if all(name.isdigit() for name in strings):
        strings = [name for name in strings if 2 * len({str(row.get(name)) for row in rows}) > len(rows)] or strings
    named = [name for name in LINES if name in lists]
    if named or len(strings) == 1:
        return (named or strings)[0]
    return lists[0] if len(lists) == 1 else None


def is_prose(value: Any) -> bool:
    """A string that is no number, no truth value and not empty."""
    return isinstance(value, str) and bool(value.strip()) and not is_number(value) and value.strip().lower() not in ("true", "false")


def is_number(value: str) -> bool:
    """Whether a string is a number."""
    try:
        float(value)
    except ValueError:
        return False
    return True


def columns(rows: Sequence[Row]) -> list[str]:
    """All names, in the order of their first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row))


def named_columns(names: Sequence[str]) -> str:
    """For a message: the first few names, none of them long, all of them printable."""
    short = [name[:MAX_NAME].encode("utf-8", "backslashreplace").decode() for name in names[:MOST_NAMES]]
    return ", ".join(short) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")


def unfolded(value: Any, column: str | None) -> Iterator[Any]:
    """The rows of a whole JSON value: of a list, of a SQuAD file, of the one list of objects that an object holds.

    >>> list(unfolded({"version": "1.1", "rows": [{"text": "a"}, {"text": "b"}]}, column=None))
    [{'text': 'a'}, {'text': 'b'}]
    """
    if isinstance(value, list):
        yield from [value] if is_lines(value) else value
        return
    inner = lists_of_objects(value) if isinstance(value, dict) else []
    if len(inner) != 1 or is_row(value, column):
        yield value
    elif is_squad(inner[0]) and not column:
        yield from squad(inner[0])
    else:
        for row in inner[0]:
            yield from unfolded(row, column)


def lists_of_objects(value: Row) -> list[list[Row]]:
    """Those that stand in an object."""
    return [each for each in value.values() if isinstance(each, list) and each and all(isinstance(row, dict) for row in each)]


def objects(value: Any) -> list[Row]:
    """Those in a list; none in what is no list."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def is_row(value: Row, column: str | None) -> bool:
    """Whether an object holds a text itself, rather than a list of objects that do."""
    return column in value if column else shaped(value) is not None or any(is_lines(value.get(name)) for name in LINES)


def is_squad(articles: Sequence[Row]) -> bool:
    """Whether these are articles of paragraphs with a context each."""
    paragraphs = [paragraph for article in articles for paragraph in objects(article.get("paragraphs"))]
    return bool(paragraphs) and all(isinstance(paragraph.get("context"), str) for paragraph in paragraphs)


def squad(articles: Sequence[Row]) -> Iterator[str]:
    """Each paragraph and its questions, each with the first of its answers on the next line."""
    for article in articles:
        for paragraph in objects(article.get("paragraphs")):
            yield "\n\n".join([paragraph["context"], *filter(None, map(asked, objects(paragraph.get("qas"))))])


def asked(question: Row) -> str:
    """A question of SQuAD and its first answer; "" without an answer."""
    answers = objects(question.get("answers"))
    return f"{question.get('question')}\n{answers[0].get('text')}" if answers else ""
