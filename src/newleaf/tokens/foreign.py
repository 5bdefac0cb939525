"""A tokenizer that came with a model: any tokenizer.json (byte-level BPE, SentencePiece's BPE and Unigram), or GPT-2's two older files.

The library `tokenizers` reads and runs it. What each token stands for follows from the file's decoder, so that text can be shown
token by token. The files are written again as they came.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors

from newleaf import fsio
from newleaf.errors import ModelError
from newleaf.tokens.interface import AnyTokenizer, byte_letters, require_whole_characters
from newleaf.tokens.pieces import BORDER, pieces
from newleaf.tokens.tokenizer import SPECIAL_TOKENS, Tokenizer

FILE, CONFIG = "tokenizer.json", "tokenizer_config.json"
OLD_FILES = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))
BESIDE = ("special_tokens_map.json", "chat_template.jinja")  # kept with the tokenizer where they are
ENDS = ("<|endoftext|>", "<|end_of_text|>")  # of a text; a tokenizer's eos_token may be the end of a turn
LONG = 1 << 20  # characters; a longer text is encoded in parts, because an id takes a hundred bytes on its way
LARGEST = 1 << 24  # ids; tables of every id are made, and the largest vocabularies have 2^18
SPACE = "▁"  # SentencePiece's
PROBE = "a b 1 2. c! 汉 字、汉。か，カ：汉\u3000x\t\ty"  # with borders of all kinds but those after line ends
HEXADECIMAL = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def load_tokenizer(folder: Path, rows: int | None = None) -> AnyTokenizer:
    """The tokenizer of a model, newleaf's own or another. ModelError where there is none, none that can be used, or one with tokens beyond
    the `rows` of the model (special tokens that no prompt has may stand there: models without a row for padding exist)."""
    found = read_tokenizer(folder)
    used = [id for id in found.bytes_of if not found.is_special(id)] + [found.end_of_text, *found.prompt("")] if rows else []
    if rows and max(used) >= rows:
        expected = f"at most {rows:,}, the model's"
        raise ModelError(f"the tokenizer of {folder} has {max(used) + 1:,} tokens", where=str(folder), expected=expected)
    return found


def read_tokenizer(folder: Path) -> AnyTokenizer:
    """By the files that there are."""
    path = folder / FILE
    if not path.exists():
        for vocabulary, merges in old_files(folder):
            return ForeignTokenizer(folder, of_old_files(vocabulary, merges))
        raise ModelError(f"{folder} has no {FILE}", where=str(folder), hint="text needs one; model.logits(ids) does not")
    try:
        document = json.loads(path.read_bytes())
        names = [token["content"] for token in document["added_tokens"]]
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}", where=str(path), expected="the tokenizer of a model") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{path} is damaged", where=str(path), expected="the tokenizer of a model") from error
    return Tokenizer.load(folder) if tuple(names) == SPECIAL_TOKENS else ForeignTokenizer(folder, of_file(path))


def has_tokenizer(folder: Path) -> bool:
    """Whether there are the files of one."""
    return (folder / FILE).exists() or bool(old_files(folder))


def old_files(folder: Path) -> list[tuple[Path, Path]]:
    """The pairs of vocabulary and merges that are there."""
    pairs = [(folder / vocabulary, folder / merges) for vocabulary, merges in OLD_FILES]
    return [pair for pair in pairs if pair[0].exists() and pair[1].exists()]


def of_file(path: Path) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except BaseException as error:
        raise complaint(error, path) from None


def of_old_files(vocabulary: Path, merges: Path) -> tokenizers.Tokenizer:
    """GPT-2's tokenizer, from the two files that it was published as. ModelError where they are another kind's, which splits otherwise."""
    config = read_config(vocabulary.parent / CONFIG)
    kind = config.get("tokenizer_class") or "GPT2Tokenizer"
    if kind not in ("GPT2Tokenizer", "GPT2TokenizerFast"):
        raise complaint(ValueError(f"without {FILE} it is not known how a {kind} splits text"), vocabulary)
    try:
        found = tokenizers.Tokenizer(models.BPE.from_file(str(vocabulary), str(merges)))
    except BaseException as error:
        raise complaint(error, vocabulary, f"{vocabulary} and {merges.name}") from None
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    found.add_special_tokens([AddedToken(ENDS[0], special=True, normalized=False)])
    begin, end = ([ENDS[0]] if config.get(f"add_{role}_token") else [] for role in ("bos", "eos"))
    ids = [(ENDS[0], found.token_to_id(ENDS[0]))]
    found.post_processor = processors.TemplateProcessing(single=[*begin, "$A", *end], special_tokens=ids)
    return found


def complaint(error: BaseException, path: Path, what: str = "") -> BaseException:
    """What the library raises, as a ModelError. It has no type of its own for it, and a panic of its Rust is not even an Exception."""
    if not (isinstance(error, Exception) or type(error).__name__ == "PanicException"):
        return error
    return ModelError(f"{what or path} cannot be used: {one_line(error)}", where=str(path), expected="the tokenizer of a model")


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


class ForeignTokenizer(AnyTokenizer):
    """One that newleaf did not train.

    Unigram finds every piece of its vocabulary in a text, also the name of a special token, as it does in transformers.
    """

    def __init__(self, folder: Path, backend: tokenizers.Tokenizer) -> None:
        self.folder, self._backend = folder, backend
        self.config = read_config(folder / CONFIG)
        self._files = {name: (folder / name).read_bytes() for name in (FILE, *BESIDE) if (folder / name).is_file()}
        backend.no_truncation()
        backend.no_padding()
        backend.encode_special_tokens = True  # in a text they are text
        if getattr(backend.model, "dropout", None):
            backend.model.dropout = None  # it is for training: the ids of a text would be drawn anew each time
        self._words = backend.get_vocab()
        self.special_tokens = {token.content: id for id, token in sorted(backend.get_added_tokens_decoder().items()) if token.special}
        self._special = frozenset(self.special_tokens.values())
        self.end_of_text, self.chat_template = self._end_of_text(), self._chat_template()
        roles = ("bos_token", "eos_token", "pad_token", "unk_token")
        self.named_tokens = {role: name for role in roles if (name := self.named(role))}
        self._spell = spelling(state(backend.decoder), state(backend.pre_tokenizer), str(folder / FILE))
        self._require_ids()

    def named(self, role: str) -> str | None:
        """The token that tokenizer_config.json gives a role, such as eos_token."""
        token = self.config.get(role)
        name = token.get("content") if isinstance(token, dict) else token
        return name if isinstance(name, str) and name in self._words else None

    def _end_of_text(self) -> int:
        known = [name for name in ENDS if name in self.special_tokens]
        known += [name for name in (self.named("eos_token"), "</s>", self.named("bos_token"), "<s>") if name]
        ids = [self._words[name] for name in known if name in self._words]
        if not ids:
            where = str(self.folder / CONFIG)
            raise ModelError(f"the tokenizer in {self.folder} names no token that ends a text", where=where, expected='an "eos_token"')
        return ids[0]

    def _require_ids(self) -> None:
        """ModelError unless ids are in the range that tables can have, and those that are put around a prompt are tokens."""
        known = set(self._words.values())
        if strange := [id for id in known.union(self.prompt("")) if id > LARGEST or id not in known]:
            raise complaint(ValueError(f"it has a token with the id {max(strange):,}"), self.folder / FILE)

    @property
    def vocab_size(self) -> int:
        return self._vocab_size

    @cached_property
    def _vocab_size(self) -> int:
        return 1 + max(self._words.values())

    def is_special(self, id: int) -> bool:
        return id in self._special

    def encode(self, text: str) -> list[int]:
        require_whole_characters(text)
        return self._ids(self._parts(text), add_special_tokens=False)

    def prompt(self, text: str) -> list[int]:
        """The ids of the text with what the tokenizer's post-processor adds; of an empty one, end-of-text where it adds nothing.

        The flags add_bos_token and add_eos_token say nothing beside a tokenizer.json: transformers 5 leaves them out, and so does 4 in
        the class whose name `save` writes.
        """
        require_whole_characters(text)
        return self._ids([text], add_special_tokens=True) or [self.end_of_text]

    def pieces(self, document: str) -> Iterator[str]:
        yield document

    def save(self, folder: Path, model_max_length: int | None = None) -> dict[str, str]:
        written = {name: fsio.write_bytes(folder / name, content) for name, content in self._files.items()}
        if FILE not in written:
            written[FILE] = fsio.write_text(folder / FILE, self._backend.to_str())
        config = self.config or {"eos_token": self._backend.id_to_token(self.end_of_text), "clean_up_tokenization_spaces": False}
        if config.get("tokenizer_class", "TokenizersBackend") == "TokenizersBackend":  # transformers 5's name, which 4 does not know
            config = config | {"tokenizer_class": "PreTrainedTokenizerFast"}
        if model_max_length is not None:
            config = config | {"model_max_length": model_max_length}
        return written | {CONFIG: fsio.write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")}  # ASCII: whatever came, goes

    def _chat_template(self) -> str | None:
        """Of chat_template.jinja, or of the older field in tokenizer_config.json."""
        if "chat_template.jinja" in self._files:
            return self._files["chat_template.jinja"].decode("utf-8", errors="replace")
        found = self.config.get("chat_template")
        if isinstance(found, list):  # several with names
            found = next((t.get("template") for t in found if isinstance(t, dict) and t.get("name") == "default"), None)
        return found if isinstance(found, str) else None

    def with_template(self, template: str) -> "ForeignTokenizer":
        other = copy(self)
        other.chat_template, other._files = template, self._files | {"chat_template.jinja": template.encode()}
        return other

    def as_json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self._backend.to_str())
        return document

    @property
    def bytes_of(self) -> Mapping[int, bytes]:
        return self._bytes

    @cached_property
    def _bytes(self) -> dict[int, bytes]:
        added = self._backend.get_added_tokens_decoder()
        words = {id: name for name, id in self._words.items()}
        return {id: added[id].content.encode() if id in added else self._spell(words[id]) for id in sorted(words)}

    def _ids(self, parts: Iterable[str], add_special_tokens: bool) -> list[int]:
        try:
            return [id for part in parts for id in self._backend.encode(part, add_special_tokens=add_special_tokens).ids]
        except BaseException as error:
            raise complaint(error, self.folder / FILE) from None

    def _parts(self, text: str) -> Iterator[str]:
        """The text, a long one in parts whose ids are its ids. After a line end GPT-2's kind looks ahead, so none ends there."""
        start = 0
        while len(text) - start > LONG and self._splits_words:
            borders = (border.start() for border in BORDER.finditer(text, start + LONG))
            end = next((border for border in borders if text[border - 1] not in "\r\n"), len(text))
            yield text[start:end]
            start = end
        yield text[start:]

    @cached_property
    def _splits_words(self) -> bool:
        """Whether words end at such borders, and nothing reaches across: no normalizer, no blank put in front, no token that was added."""
        backend, added = self._backend, self._backend.get_added_tokens_decoder().values()
        splits = parts_of(state(backend.pre_tokenizer), "pretokenizers")
        if not splits or self._spell.letters is None or (state(backend.normalizer) or {"type": "NFC"})["type"] != "NFC":
            return False
        if any(step.get("add_prefix_space") for step in splits) or any(reaches_across(token) for token in added if not token.special):
            return False
        ends = {end for _, (_, end) in backend.pre_tokenizer.pre_tokenize_str(PROBE)}
        return set(accumulate(map(len, pieces(PROBE, 1)))) <= ends


def reaches_across(token: AddedToken) -> bool:
    """Whether a token that is looked for before text is split may be found on both sides of a border."""
    return bool(token.lstrip or token.rstrip or len([*pieces(token.content, 1)]) > 1)


def read_config(path: Path) -> dict[str, Any]:
    """tokenizer_config.json, if it is there."""
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read: {one_line(error)}", where=str(path)) from None
    if not isinstance(found, dict):
        raise ModelError(f"{path} holds no JSON object", where=str(path))
    return found


def state(part: Any) -> Any:
    """A normalizer, pre-tokenizer or decoder as tokenizer.json has it."""
    return None if part is None else json.loads(part.__getstate__())


def parts_of(part: Any, within: str) -> list[dict[str, Any]]:
    """The steps of a normalizer, pre-tokenizer or decoder: a sequence's own, or the one."""
    if not isinstance(part, dict):
        return []
    return [step for inner in part[within] for step in parts_of(inner, within)] if part.get("type") == "Sequence" else [part]


class Spelling:
    """From a token's name to the bytes that it stands for, by the steps of the file's decoder."""

    def __init__(self, steps: list[dict[str, Any]]) -> None:
        kinds = {step["type"] for step in steps}
        self.letters = byte_letters() if "ByteLevel" in kinds else None
        self.has_bytes = "ByteFallback" in kinds
        self.replaced = [(step["pattern"]["String"], step["content"]) for step in steps if step["type"] == "Replace"]
        self.replaced += [(step["replacement"], " ") for step in steps if step["type"] == "Metaspace"]

    def __call__(self, name: str) -> bytes:
        if self.letters is not None:
            known = [self.letters.get(letter) for letter in name]
            return name.encode() if None in known else bytes(byte for byte in known if byte is not None)
        if self.has_bytes and (found := HEXADECIMAL.fullmatch(name)):
            return bytes([int(found[1], 16)])
        for old, new in self.replaced:
            name = name.replace(old, new)
        return name.encode()


def spelling(decoder: Any, pre_tokenizer: Any, where: str) -> Spelling:
    """ModelError where a decoder has a step that is not done token by token."""
    steps = parts_of(decoder, "decoders")
    if not steps:  # byte-level files without a decoder exist
        steps = [step for step in parts_of(pre_tokenizer, "pretokenizers") if step.get("type") == "ByteLevel"]
    for step in steps:
        replaces_text = step["type"] == "Replace" and isinstance(step.get("pattern"), dict) and "String" in step["pattern"]
        if not (replaces_text or step["type"] in ("ByteLevel", "ByteFallback", "Fuse", "Strip", "Metaspace")):
            raise ModelError(
                f"{where} has a decoder {step['type']!r}, which is not supported", where=where, expected="ByteLevel or Metaspace"
            )
    if not steps:
        raise ModelError(f"{where} has no decoder", where=where, expected="one that says how tokens become text")
    return Spelling(steps)
