"""Rows in, examples to tune with out: conversations, texts with a label, answers of which one is preferred.

Each shape that people's data has is a line of a table, as in shapes.py; columns that were named come before all shapes. A row that is no
example is passed over and named with its file and line; a file that mixes shapes is refused.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from newleaf.text.shapes import ROLES, content, is_lines, is_squad, lists_of_objects, objects, text_of

Row = Mapping[str, Any]
Turns = tuple[tuple[str, str], ...]  # (role, what is said), …
SPEAKERS = ("system", "user", "assistant")
WRAPPED = ("data", "rows", "examples", "train")  # names under which an object holds the rows of a file
ROLE_NAMES = ROLES | {"bot": "assistant", "model": "assistant"}


@dataclass(frozen=True)
class Columns:
    """The columns that a person has named."""

    input: str | None = None
    second_input: str | None = None
    output: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns, the last of them an assistant's."""

    turns: Turns
    source: str = ""
    answers: tuple[str, ...] = ()  # that would be as right as the last one


@dataclass(frozen=True, slots=True)
class Labelled:
    """One text or two, and what they are."""

    texts: tuple[str, ...]
    label: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Preference:
    """What was said, the better answer and the worse one."""

    turns: Turns
    chosen: str
    rejected: str
    source: str = ""


Example = Conversation | Labelled | Preference


def texts_of(example: Example) -> list[str]:
    """Everything that is said in it."""
    if isinstance(example, Labelled):
        return [*example.texts]
    return [said for _, said in example.turns]


class NoExample(ValueError):
    """Why a row is none."""


# conversations ----------------------------------------------------------------------------------------------------------


def from_messages(row: Row, key: str) -> Turns:
    """A list of messages, each with role and content, or from and value."""
    said = row[key]
    if not isinstance(said, list) or not all(isinstance(message, dict) for message in said):
        raise NoExample(f"{key} is no list of messages")
    return (*system_of(row), *((role_of(message), content(message)) for message in said))


def system_of(row: Row) -> Turns:
    """What a column of that name says."""
    said = row.get("system")
    return (("system", said),) if isinstance(said, str) and said.strip() else ()


def role_of(message: Row) -> str:
    """NoExample where it is none of the three."""
    role = message.get("role") or message.get("from")
    if role is None:
        raise NoExample("a message without a role")
    role = ROLE_NAMES.get(str(role), str(role))
    if role not in SPEAKERS:
        raise NoExample(f"the role {role[:40]!r} is unknown: it is system, user or assistant")
    return role


def from_alpaca(row: Row) -> Turns:
    """Instruction, input and output, the turns of `history` before them; of several outputs the first, which is the best."""
    question = "\n".join(part for name in ("instruction", "input") if (part := text_of(row.get(name))))
    output = row["output"][0] if is_lines(row["output"]) else row["output"]
    history = row.get("history")
    turns = [*system_of(row)]
    for pair in history if isinstance(history, list) else []:
        if not is_lines(pair) or len(pair) != 2:
            raise NoExample("history is no list of pairs")
        turns += [("user", pair[0]), ("assistant", pair[1])]
    return (*turns, ("user", question), ("assistant", text_of(output)))


def from_pair(row: Row, asked: str, answered: str) -> Turns:
    """A prompt and its completion; a prompt that is a list of messages stays one."""
    return (*question_of(row, asked), ("assistant", last_said(row, answered)))


SHAPES: tuple[tuple[tuple[str, ...], Callable[[Row], Turns]], ...] = (
    (("messages",), lambda row: from_messages(row, "messages")),
    (("conversations",), lambda row: from_messages(row, "conversations")),
    (("prompt", "completion"), lambda row: from_pair(row, "prompt", "completion")),
    (("prompt", "response"), lambda row: from_pair(row, "prompt", "response")),
    (("instruction", "output"), from_alpaca),
)


def conversation(row: Row, columns: Columns, known: Sequence[tuple[str, str]] = ()) -> tuple[str, Conversation]:
    """(the name of its shape, the example) of a row; NoExample, saying why, where it is none. `known` are columns of input and output
    that count where no shape fits."""
    if not (columns.input and columns.output):
        for names, read in SHAPES:
            if all(name in row for name in names) and not columns.second_input:
                return ", ".join(names), Conversation(checked(read(row)))
        pair = next((pair for pair in known if pair[0] in row and pair[1] in row), None)
        if pair is None:
            raise NoExample(f"no question and answer in it: it has {columns_of(row)}")
        second = columns.second_input or ("context" if "context" in row else None)
        columns = Columns(pair[0], second, pair[1])
    asked, second = text_of(value(row, columns.input)), text_of(value(row, columns.second_input)) if columns.second_input else ""
    named = f"{columns.input}, {columns.output}"
    turns = ("user", "\n\n".join(filter(None, (second, asked)))), ("assistant", text_of(value(row, columns.output)))
    others: Any = row.get("answers")
    return named, Conversation(checked(turns), answers=tuple(others) if is_lines(others) else ())


def value(row: Row, name: str | None) -> Any:
    """Of a column."""
    if name is None or name not in row:
        raise NoExample(f"no column {name!r}: it has {columns_of(row)}")
    return row[name]


def columns_of(row: Row) -> str:
    """The names of some, for a sentence."""
    return ", ".join(map(str, list(row)[:6])) or "no columns"


def checked(turns: Turns) -> Turns:
    """Someone asks, the assistant answers, and so on; NoExample where it is otherwise."""
    spoken = [turn for turn in turns if turn[0] != "system"]
    if any(role == "system" for role, _ in turns[1:]):
        raise NoExample("a system prompt that is not the first message")
    for number, (role, said) in enumerate(spoken):
        if number and role == spoken[number - 1][0]:
            raise NoExample(f"two messages of the {role} in a row")
        if not said.strip():
            raise NoExample("an empty answer" if role == "assistant" else "an empty question")
    if spoken and spoken[0][0] == "assistant":
        raise NoExample("the assistant speaks first")
    while turns and turns[-1][0] != "assistant":
        turns = turns[:-1]
    if not turns:
        raise NoExample("no answer in it")
    return turns


# labels -----------------------------------------------------------------------------------------------------------------

LABELS = ("label", "labels", "category", "class", "sentiment", "target")
TEXTS = ("text", "sentence", "text_a", "content", "review", "title", "premise", "sentence1", "question")
SECOND = ("text_b", "hypothesis", "sentence2", "text_pair")


def labelled(row: Row, columns: Columns) -> tuple[str, Labelled]:
    """(the name of its shape, the example) of a row with a label."""
    label = columns.label or next((name for name in LABELS if name in row), None)
    if label is None:
        raise NoExample(f"no label in it: it has {columns_of(row)}")
    first = columns.input or next((name for name in TEXTS if name in row and name != label), None)
    if first is None:
        others = [name for name in row if name != label and isinstance(row[name], str)]
        if len(others) != 1:
            raise NoExample(f"no text in it: it has {columns_of(row)}")
        first = others[0]
    second = columns.second_input or next((name for name in SECOND if name in row and name != first), None)
    names = [name for name in (first, second) if name is not None]
    texts = tuple(text_of(value(row, name)) for name in names)
    said = value(row, label)
    if isinstance(said, bool) or not isinstance(said, str | int | float) or not str(said).strip():
        raise NoExample("an empty label" if said in ("", None) else f"the label {str(said)[:40]!r} is no word and no number")
    if not texts[0].strip():
        raise NoExample("an empty text")
    return ", ".join([*names, label]), Labelled(texts, str(said).strip())


# preferences ------------------------------------------------------------------------------------------------------------


def preference(row: Row, columns: Columns) -> tuple[str, Preference]:
    """(the name of its shape, the example) of a row with two answers."""
    chosen, rejected, named = row.get("chosen"), row.get("rejected"), "chosen, rejected"
    asked = columns.input or next(
        (name for name in ("conversations", "messages", "prompt", "instruction", "question") if name in row), None
    )
    if asked is not None:
        value(row, asked)
    if (chosen is None or rejected is None) and is_lines(row.get("output")) and len(row["output"]) > 1:
        chosen, rejected, named = row["output"][0], row["output"][-1], "ranked output"  # the best one first
    if chosen is None or rejected is None:
        raise NoExample(f"no two answers in it: it has {columns_of(row)}")
    if asked is None:
        before, answers = common_beginning(chosen, rejected)
    else:
        before = question_of(row, asked)
        said = {"chosen": chosen, "rejected": rejected}
        answers = last_said(said, "chosen"), last_said(said, "rejected")
    turns = checked((*before, ("assistant", answers[0])))[:-1]
    checked((*before, ("assistant", answers[1])))
    if answers[0] == answers[1]:
        raise NoExample("both answers are the same")
    return f"{asked or 'messages'}, {named}", Preference(turns, *answers)


def question_of(row: Row, asked: str) -> Turns:
    """What the two answers answer."""
    if asked == "instruction":
        return from_alpaca({**row, "output": "-"})[:-1]
    if isinstance(row[asked], list) and not is_lines(row[asked]):
        return from_messages(row, asked)
    return (*system_of(row), ("user", text_of(row[asked])))


def last_said(row: Row, name: str) -> str:
    """What a column answers: a string, a message or a list of them. NoExample where the last one is not the assistant's."""
    answer = row[name]
    if isinstance(answer, list) and answer and not is_lines(answer):
        answer = answer[-1]
    if not isinstance(answer, dict):
        return text_of(answer)
    require_assistant(name, role_of(answer))
    return content(answer)


def require_assistant(name: str, role: str) -> None:
    """NoExample where an answer is somebody else's."""
    if role != "assistant":
        raise NoExample(f"the last message of {name} is the {role}'s, not the assistant's")


def common_beginning(chosen: Any, rejected: Any) -> tuple[Turns, tuple[str, str]]:
    """Two whole conversations that differ in the last turn."""
    turns = [from_messages({"messages": side}, "messages") for side in (chosen, rejected)]
    if not turns[0] or not turns[1] or turns[0][:-1] != turns[1][:-1]:
        raise NoExample("chosen and rejected are not two answers to the same")
    require_assistant("chosen", turns[0][-1][0])
    require_assistant("rejected", turns[1][-1][0])
    return turns[0][:-1], (turns[0][-1][1], turns[1][-1][1])


# files ------------------------------------------------------------------------------------------------------------------


def questions(value: Any) -> Iterator[Any]:
    """The rows of a whole JSON value; of a SQuAD file each question with its paragraph and first answer."""
    inner = lists_of_objects(value) if isinstance(value, dict) else []
    if len(inner) != 1 or not is_squad(inner[0]):
        rows = next((value[name] for name in WRAPPED if value.get(name) in inner), None) if isinstance(value, dict) else None
        yield from value if isinstance(value, list) else [value] if rows is None else rows
        return
    for article in objects(inner[0]):
        for paragraph in objects(article.get("paragraphs")):
            for question in objects(paragraph.get("qas")):
                answers = [text_of(answer.get("text")) for answer in objects(question.get("answers"))]
                row = {"context": text_of(paragraph.get("context")), "question": text_of(question.get("question"))}
                yield row | {"answer": answers[0] if answers else "", "answers": answers}


def poem(row: Row) -> Row:
    """Song poems name their tune where others have a title."""
    return {**row, "title": row["rhythmic"]} if "rhythmic" in row and "title" not in row else row
