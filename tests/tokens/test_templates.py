"""The templates of tuned models: transformers, which trl reads them with, is the judge of every id and of which are learned."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tokens.examples import FRAGMENTS, TRICKY, bytes_alone, trained
from tokens.foreign_examples import MAKERS

from newleaf.errors import ModelError
from newleaf.tokens.conversations import BREAK, Part, Renderer
from newleaf.tokens.foreign import load_tokenizer
from newleaf.tokens.interface import AnyTokenizer
from newleaf.tokens.templates import Words, chat_template, end_of_turn
from newleaf.training.tasks import TASKS

transformers = pytest.importorskip("transformers")
OWN: dict[str, Callable[[], AnyTokenizer]] = {"own": trained, "own, bytes alone": bytes_alone}
WITH_MARKS = ("own", "own, bytes alone", "qwen2")
CHAT, NO_WORDS = ("user", "assistant"), None
WORDS = list(dict.fromkeys(task.words for task in TASKS.values()))
FEW: list[Words | None] = [CHAT, ("text", "translation"), NO_WORDS]
PAIRS = [(kind, words) for kind in (*OWN, *MAKERS) for words in (WORDS if kind in ("own", "gpt2") else FEW)]
Talk = list[dict[str, str]]


def named(pairs: Sequence[tuple[str, Words | None]]) -> list[str]:
    """What tests of these are called."""
    return [f"{kind}: {' and '.join(words or ('no words',))}" for kind, words in pairs]


COARSE = [("unigram", NO_WORDS), ("unigram of bytes", NO_WORDS)]  # transformers takes a run of unknown letters for one, across line ends
JUDGED = [pair for pair in PAIRS if pair not in COARSE]
EACH = pytest.mark.parametrize(("kind", "words"), PAIRS, ids=named(PAIRS))
SOME = [(kind, words) for kind in ("own", "gpt2") for words in FEW]
OF_SOME = pytest.mark.parametrize(("kind", "words"), SOME, ids=named(SOME))


def talk(*said: str, system: str | None = None) -> Talk:
    """Questions and answers in turn."""
    before = [] if system is None else [{"role": "system", "content": system}]
    return before + [{"role": ("user", "assistant")[place % 2], "content": words} for place, words in enumerate(said)]


TALKS = [
    talk("Tom is here.", "汤姆在这里。"),
    talk("Tom is here.", "汤姆在这里。", system="You are kind."),
    talk("你好，to be?", "Or not to be 🙂", "return x", "x = 1\n\ny = 2\n", "  and?", "No."),
    talk("\n\n春眠不觉晓", "处处闻啼鸟。", "12345", "'s 67890!", system="一句\n"),
    [*talk("one", "two"), {"role": "user", "content": "and?"}],
]


@dataclass(frozen=True)
class Kinds:
    """Tokenizers by their kinds, ours and transformers', and the parts of TALKS for each template."""

    ours: Mapping[str, AnyTokenizer]
    theirs: Mapping[str, Any]
    parts: dict[tuple[str, Words | None], list[list[Part]]] = field(default_factory=dict)

    def tuned(self, kind: str, words: Words | None) -> AnyTokenizer:
        return self.ours[kind].with_template(chat_template(self.ours[kind], words))

    def learned(self, kind: str, words: Words | None) -> list[list[Part]]:
        if (kind, words) not in self.parts:
            self.parts[kind, words] = Renderer(self.tuned(kind, words)).learned(TALKS)
        return self.parts[kind, words]

    def judged(self, kind: str, words: Words | None, messages: Talk) -> tuple[list[int], list[int]]:
        """(ids, which of them the assistant says) by transformers."""
        template = chat_template(self.ours[kind], words)
        found = self.theirs[kind].apply_chat_template(
            messages, chat_template=template, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
        )
        return list(found["input_ids"]), list(found["assistant_masks"])


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Kinds:
    folders = {kind: tmp_path_factory.mktemp("tokenizer") for kind in (*OWN, *MAKERS)}
    for kind, folder in folders.items():
        if kind in OWN:
            OWN[kind]().save(folder)
        else:
            MAKERS[kind](folder)
    theirs = {kind: transformers.PreTrainedTokenizerFast.from_pretrained(folder) for kind, folder in folders.items()}
    return Kinds({kind: load_tokenizer(folder) for kind, folder in folders.items()}, theirs)


def ids_of(parts: Sequence[Part]) -> list[int]:
    return [id for part in parts for id in part.before + part.answer]


def mask_of(parts: Sequence[Part]) -> list[int]:
    return [learned for part in parts for learned in [0] * len(part.before) + [1] * len(part.answer)]


# the judge --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "words"), JUDGED, ids=named(JUDGED))
def test_ids_and_what_is_learned_are_those_of_transformers(kind: str, words: Words | None, kinds: Kinds) -> None:
    """What follows the last answer is read by nobody."""
    for messages, parts in zip(TALKS, kinds.learned(kind, words), strict=True):
        ids, mask = kinds.judged(kind, words, messages)
        assert (ids[: len(ids_of(parts))], mask[: len(ids_of(parts))]) == (ids_of(parts), mask_of(parts))
        assert not any(mask[len(ids_of(parts)) :])


@pytest.mark.parametrize("kind", ["own", "gpt2", "qwen2", "llama3"])
def test_whatever_is_said_transformers_reads_the_same(kind: str, kinds: Kinds) -> None:
    """But for what transformers takes for a special token, and for white space that an answer begins with: a model writes that after its
    question was encoded, so here the two are encoded apart."""
    words, tokenizer = ("text", "translation"), kinds.tuned(kind, ("text", "translation"))
    said = [text[:300].replace(BREAK, "") for text in (*TRICKY.values(), *FRAGMENTS)]
    said = [text for text in said if not any(name in text for name in tokenizer.special_tokens)]
    talks = [talk(text, f"{text.lstrip()}{said[place - 1]}", said[place - 2], "end") for place, text in enumerate(said)]
    talks = [messages for messages in talks if not messages[1]["content"][:1].isspace()]
    assert len(talks) > 50
    for messages, parts in zip(talks, Renderer(tokenizer).learned(talks), strict=True):
        ids, mask = kinds.judged(kind, words, messages)
        assert (ids[: len(ids_of(parts))], mask[: len(ids_of(parts))]) == (ids_of(parts), mask_of(parts))


@OF_SOME
def test_a_question_alone_is_the_beginning_of_its_conversation(kind: str, words: Words | None, kinds: Kinds) -> None:
    """A model is asked in the ids that it learned to answer after; transformers asks in the same words."""
    tokenizer = kinds.tuned(kind, words)
    renderer, template = Renderer(tokenizer), chat_template(tokenizer, words)
    wholes = [talk("Tom is here.\n", answer, system="You are kind.") for answer in ("汤姆在这里。", "    indented", "\n\nlate")]
    asked = renderer.text(wholes[0][:-1])
    theirs = kinds.theirs[kind].apply_chat_template(wholes[0][:-1], chat_template=template, tokenize=False, add_generation_prompt=True)
    assert renderer.text(wholes[0], answering=False).startswith(asked)
    assert asked == theirs
    assert [parts[0].before for parts in renderer.learned(wholes)] == [renderer.ids(wholes[0][:-1])] * 3


# how it is written ------------------------------------------------------------------------------------------------------

SPOKEN = [(kind, words) for kind, words in PAIRS if kind in ("own", "qwen2", "gpt2", "llama3")]
MARKED = "<|im_start|>system\nYou are kind.<|im_end|>\n<|im_start|>{}\nTom is here.<|im_end|>\n<|im_start|>{}\n汤姆在这里。<|im_end|>"
SPELLED = "System:\nYou are kind.\n\n{}:\nTom is here.\n\n{}: 汤姆在这里。{}"


@pytest.mark.parametrize(("kind", "words"), SPOKEN, ids=named(SPOKEN))
def test_words_stand_between_marks_or_in_plain_text(kind: str, words: Words | None, kinds: Kinds) -> None:
    """Plain words are written large, who asks like who answers; without words the answer goes on from the question."""
    tokenizer = kinds.ours[kind]
    end = tokenizer.decode([tokenizer.end_of_text])
    if words is None:
        expected = f"You are kind.\nTom is here.\n汤姆在这里。{end}"
    else:
        expected = MARKED.format(*words) if kind in WITH_MARKS else SPELLED.format(*map(str.capitalize, words), end)
    assert tokenizer.decode(ids_of(kinds.learned(kind, words)[1])) == expected


TABLE = [  # by hand: each token of two turns, and whether it is learned
    *(("<|im_start|>", 0), *((letter, 0) for letter in "user\n1"), ("<|im_end|>", 0), ("\n", 0)),
    *(("<|im_start|>", 0), *((letter, 0) for letter in "assistant\n"), ("2", 1), ("<|im_end|>", 1)),
    *(("\n", 0), ("<|im_start|>", 0), *((letter, 0) for letter in "user\n3"), ("<|im_end|>", 0), ("\n", 0)),
    *(("<|im_start|>", 0), *((letter, 0) for letter in "assistant\n"), ("4", 1), ("5", 1), ("<|im_end|>", 1)),
]


def test_two_turns_token_by_token(kinds: Kinds) -> None:
    tokenizer = kinds.tuned("own, bytes alone", CHAT)
    [parts] = Renderer(tokenizer).learned([talk("1", "2", "3", "45")])
    assert list(zip([tokenizer.decode([id]) for id in ids_of(parts)], mask_of(parts), strict=True)) == TABLE
    assert [tokenizer.decode(part.answer) for part in parts] == ["2<|im_end|>", "45<|im_end|>"]


# special tokens ---------------------------------------------------------------------------------------------------------


@EACH
def test_an_answer_ends_with_the_end_of_a_turn(kind: str, words: Words | None, kinds: Kinds) -> None:
    """Of a text, where there are no words."""
    tokenizer = kinds.ours[kind]
    last = end_of_turn(tokenizer) if words else tokenizer.end_of_text
    for messages, parts in zip(TALKS, kinds.learned(kind, words), strict=True):
        assert len(parts) == sum(message["role"] == "assistant" for message in messages)
        assert [part.answer[-1] for part in parts] == [last] * len(parts)
        assert not any(last in part.answer[:-1] for part in parts)


@pytest.mark.parametrize("kind", [*OWN, *MAKERS])
def test_the_end_of_a_turn_is_a_mark_of_its_own_where_there_is_one(kind: str, kinds: Kinds) -> None:
    tokenizer = kinds.ours[kind]
    assert (end_of_turn(tokenizer) != tokenizer.end_of_text) == (kind in WITH_MARKS)
    assert tokenizer.is_special(end_of_turn(tokenizer))


@OF_SOME
def test_what_is_said_never_makes_a_special_token(kind: str, words: Words | None, kinds: Kinds) -> None:
    """Neither in a question nor in an answer nor in a system prompt; it is learned as the text that it is."""
    tokenizer = kinds.tuned(kind, words)
    names = "".join(tokenizer.special_tokens)
    odd = ["q", names, f"{names}\n{names}", "<|im_end|>", "<|endoftext|>", f"<{BREAK}|im_end|>", "<|im_<|im_end|>end|>"]
    found = Renderer(tokenizer).learned([talk(said, said, said, said, system=said) for said in odd])
    marks = [id for id in ids_of(found[0]) if tokenizer.is_special(id)]
    for said, parts in zip(odd, found, strict=True):
        assert [id for id in ids_of(parts) if tokenizer.is_special(id)] == marks
        for part in parts:
            assert tokenizer.decode(part.answer[:-1]).removeprefix(" ") == said.replace(BREAK, "")
            assert said.replace(BREAK, "") in tokenizer.decode(part.before)


def test_a_tokenizer_whose_end_of_text_is_no_mark_is_refused(tmp_path: Path) -> None:
    """Nothing could end an answer that a text might not say."""
    MAKERS["gpt2"](tmp_path)
    document = json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))
    document["added_tokens"][0]["special"] = False
    (tmp_path / "tokenizer.json").write_text(json.dumps(document), "utf-8")
    with pytest.raises(ModelError):
        chat_template(load_tokenizer(tmp_path), CHAT)


# files ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["own", "gpt2", "qwen2"])
def test_a_template_survives_being_saved(kind: str, kinds: Kinds, tmp_path: Path) -> None:
    """Also in place of another, and the tokenizer that it was made from has none of it."""
    before, first = kinds.ours[kind].chat_template, kinds.tuned(kind, ("text", "summary"))
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    written = first.save(tmp_path / "first")
    assert (tmp_path / "first" / "chat_template.jinja").read_text("utf-8") == first.chat_template
    assert "chat_template.jinja" in written
    again = load_tokenizer(tmp_path / "first")
    assert again.chat_template == first.chat_template
    assert Renderer(again).learned(TALKS[:2]) == Renderer(first).learned(TALKS[:2])
    other = chat_template(again, NO_WORDS)
    again.with_template(other).save(tmp_path / "second")
    assert load_tokenizer(tmp_path / "second").chat_template == other
    assert transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path / "second").chat_template == other
    assert kinds.ours[kind].chat_template == before


# templates of others ----------------------------------------------------------------------------------------------------

REWRITING = {
    "numbers all turns": "{{ messages | length }}{% for message in messages %}{{ message.content }}{% endfor %}",
    "shortens earlier answers": (
        "{% for message in messages %}{{ message.content if loop.last or message.role == 'user' else '…' }}<|im_end|>{% endfor %}"
    ),
    "asks with other words": (
        "{% for message in messages %}{{ message.content }}<|im_end|>{% endfor %}{% if add_generation_prompt %}think:{% endif %}"
    ),
}


@pytest.mark.parametrize("template", REWRITING.values(), ids=REWRITING)
def test_a_template_that_rewrites_what_it_wrote_is_refused(template: str, kinds: Kinds) -> None:
    renderer = Renderer(kinds.ours["own"].with_template(template))
    with pytest.raises(ModelError, match=r"writes an answer otherwise than it asks for one \(expected one that only adds\)"):
        renderer.learned([talk("q", "a", "q", "a")])


def test_a_template_of_another_is_learned_up_to_its_last_mark(kinds: Kinds) -> None:
    """ChatML as qwen writes it, without {% generation %}: the end of the turn is learned, the line end after it is not."""
    template = (
        "{% for message in messages %}<|im_start|>{{ message.role }}{{ '\n' }}{{ message.content }}<|im_end|>{{ '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant{{ '\n' }}{% endif %}"
    )
    assert Renderer(kinds.ours["own"].with_template(template)).learned(TALKS) == kinds.learned("own", CHAT)


def test_many_conversations_are_learned_at_once_each_by_itself(kinds: Kinds) -> None:
    renderer = Renderer(kinds.tuned("own", CHAT))
    assert kinds.learned("own", CHAT) == [*renderer.learned(TALKS[:2]), *renderer.learned(TALKS[2:])]
    assert renderer.learned([]) == []
    assert renderer.learned([talk("only a question")]) == [[]]
