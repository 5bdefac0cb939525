"""A model goes out as it came in, what will run it has read it before it has a name, and what fails leaves nothing."""

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from conversion.strings import varied
from model.configs import MIXTURE, random_decoder
from safetensors.torch import load_file
from tokens.foreign_examples import CHAT, MAKERS

import newleaf
from newleaf import fsio
from newleaf.checkpoint.tensors import save_tensors
from newleaf.cli.main import run
from newleaf.conversion.huggingface import write_model
from newleaf.errors import DiskFullError, ModelError, UsageError
from newleaf.jobs.llamacpp import Step
from newleaf.jobs.loaded import Model
from newleaf.jobs.proof import Proof, prompts_for, prove
from newleaf.tokens.foreign import load_tokenizer

transformers = pytest.importorskip("transformers")
gguf = pytest.importorskip("gguf")
pytest.importorskip("xllamacpp")

FIGURES = {"format", "files", "max_logit_difference", "ids_equal", "greedy_equal", "bpb_change"}
HAN = re.compile("[\u4e00-\u9fff]")
LLAMA: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 96,
    "max_position_embeddings": 48,
}
MODELS: dict[str, tuple[str, torch.dtype, Callable[[int], Any]]] = {
    "gpt2": ("gpt2", torch.float32, lambda size: transformers.GPT2Config(vocab_size=size, n_embd=64, n_layer=2, n_head=2, n_positions=48)),
    "llama3": (
        "llama3",
        torch.bfloat16,
        lambda size: transformers.LlamaConfig(vocab_size=size, **LLAMA, bos_token_id=7, eos_token_id=[8, 9]),
    ),
    "qwen2": ("qwen2", torch.float16, lambda size: transformers.Qwen2Config(vocab_size=size, **LLAMA, tie_word_embeddings=True)),
    "llama2": ("llama2", torch.float16, lambda size: transformers.MistralConfig(vocab_size=size, **LLAMA, sliding_window=None)),
}
KINDS = pytest.mark.parametrize("kind", MODELS)


@pytest.fixture
def here(tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a copy of the run."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path


def theirs(folder: Path, kind: str) -> Path:
    """A model that transformers wrote, with a tokenizer, settings for generation and special ids of its own."""
    maker, dtype, config = MODELS[kind]
    MAKERS[maker](folder)
    (folder / "chat_template.jinja").write_text(CHAT, "utf-8")
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config(load_tokenizer(folder).vocab_size + 3))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(std=0.2).add_(float(weight.dim() == 1 and name.endswith("weight")))
    model.generation_config = transformers.GenerationConfig(do_sample=True, temperature=0.7, top_p=0.8, eos_token_id=[8, 9], pad_token_id=3)
    model.to(dtype).save_pretrained(folder)
    return folder


def read(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return value


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Hugging Face -----------------------------------------------------------------------------------------------------------


@KINDS
def test_a_model_of_transformers_comes_out_as_it_went_in(kind: str, tmp_path: Path) -> None:
    before, after = theirs(tmp_path / "in", kind), tmp_path / "out"
    found = newleaf.export(before, after, to="hf")
    assert found.keys() == FIGURES
    assert (found["format"], found["ids_equal"], found["greedy_equal"], found["bpb_change"]) == ("hf", True, True, None)
    assert found["max_logit_difference"] < 1e-3
    assert found["files"] == [str(after / name) for name in names(after)]
    first, second = (load_file(folder / "model.safetensors") for folder in (before, after))
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert second[name].dtype == tensor.dtype == MODELS[kind][1], name
        assert torch.equal(second[name], tensor), name
    for name in ("generation_config.json", "tokenizer.json", "chat_template.jinja"):
        assert (after / name).read_bytes() == (before / name).read_bytes() or read(after / name) == read(before / name), name
    configs = [read(folder / "config.json") for folder in (before, after)]
    for name in ("bos_token_id", "eos_token_id", "pad_token_id", "dtype", "vocab_size", "model_type"):
        old = configs[0].get(name)
        assert configs[1].get(name) == ("llama" if old == "mistral" else old), name  # without its window it is the same model


@KINDS
def test_transformers_sees_no_difference_between_what_went_in_and_what_came_out(kind: str, tmp_path: Path) -> None:
    folders = [theirs(tmp_path / "in", kind), tmp_path / "out"]
    newleaf.export(*folders, to="hf")
    models = [transformers.AutoModelForCausalLM.from_pretrained(folder) for folder in folders]
    tokenizers = [transformers.AutoTokenizer.from_pretrained(folder) for folder in folders]
    ids = torch.arange(40).reshape(2, 20)
    assert models[0].dtype == models[1].dtype == MODELS[kind][1]
    assert torch.equal(models[0](ids).logits, models[1](ids).logits)
    strings = varied(50, seed=6)
    assert tokenizers[0](strings).input_ids == tokenizers[1](strings).input_ids
    for field in ("eos_token_id", "bos_token_id", "pad_token_id"):
        assert getattr(models[0].generation_config, field) == getattr(models[1].generation_config, field)
    talk = [{"role": "user", "content": "to be?"}]
    assert tokenizers[1].apply_chat_template(talk, tokenize=False) == "<|im_start|>user\nto be?<|im_end|>\n"


def test_special_ids_that_a_config_leaves_out_are_not_invented(tmp_path: Path) -> None:
    theirs(tmp_path / "in", "qwen2")
    config = {name: value for name, value in read(tmp_path / "in/config.json").items() if not name.endswith("token_id")}
    (tmp_path / "in/config.json").write_text(json.dumps(config))
    newleaf.export(tmp_path / "in", tmp_path / "out", to="hf")
    assert not [name for name in read(tmp_path / "out/config.json") if name.endswith("token_id")]


def test_each_tensor_keeps_its_own_type(tmp_path: Path) -> None:
    path = theirs(tmp_path / "in", "llama3") / "model.safetensors"
    tensors = {name: tensor.float() if "norm" in name else tensor for name, tensor in load_file(path).items()}
    save_tensors(path, tensors, {"format": "pt"})
    newleaf.export(tmp_path / "in", tmp_path / "out", to="hf")
    found = load_file(tmp_path / "out/model.safetensors")
    assert {name: tensor.dtype for name, tensor in found.items()} == {name: tensor.dtype for name, tensor in tensors.items()}
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    assert read(tmp_path / "out/config.json")["dtype"] == "bfloat16"


def test_a_run_goes_out_without_its_text(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "out").mkdir()  # an empty folder is as good as none
    assert run(["export", "run", "--to", "hf", "out", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == FIGURES
    assert (found["ids_equal"], found["greedy_equal"], found["bpb_change"]) == (True, True, None)
    assert found["max_logit_difference"] < 1e-4
    files = ["README.md", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert names(here / "out") == files
    assert newleaf.verify(here / "out")["ok"]
    ids = torch.arange(30)
    assert torch.equal(newleaf.load("out").logits(ids), newleaf.load("run").logits(ids))
    assert newleaf.load("out").generate("spring", temperature=0) == newleaf.load("run").generate("spring", temperature=0)


def test_a_model_without_a_tokenizer_goes_to_hugging_face_alone(tmp_path: Path) -> None:
    folder = theirs(tmp_path / "in", "llama3")
    for path in folder.glob("tokenizer*"):
        path.unlink()
    found = newleaf.export(folder, tmp_path / "out", to="hf")
    assert (found["ids_equal"], found["greedy_equal"]) == (None, True)
    with pytest.raises(UsageError, match=r"in has no tokenizer, and GGUF needs one; export with --to hf\.$"):
        newleaf.export(folder, tmp_path / "out.gguf", to="gguf")
    assert names(tmp_path) == ["in", "out"]


# GGUF -------------------------------------------------------------------------------------------------------------------


def test_a_run_goes_to_gguf_and_says_what_was_found(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "run", "--to", "gguf", "sub/poems.gguf"]) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(r"wrote 2 files, \d\.\d MB; token ids equal; log-probabilities differ by at most \S+; greedy texts equal\n", out)
    assert err.splitlines()[-1] == "try: ollama create poems -f sub/poems.Modelfile"
    assert names(here / "sub") == ["poems.Modelfile", "poems.gguf"]


def test_half_precision_costs_next_to_nothing_and_four_bits_cost_more(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = {}
    for kind in ("f32", "f16", "q8_0", "q4_0"):
        assert run(["export", "run", "--to", "gguf", "--quantize", kind, f"{kind}.gguf", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found.keys() == FIGURES
        assert found["ids_equal"]
        changes[kind] = found["bpb_change"]
    print(changes)
    assert changes["f32"] is None
    assert abs(changes["f16"]) < 1e-4
    assert abs(changes["q8_0"]) < 0.01
    assert 1e-5 < abs(changes["q4_0"]) < 0.5
    sizes = [(here / f"{kind}.gguf").stat().st_size for kind in changes]
    assert sizes == sorted(sizes, reverse=True)


@KINDS
def test_a_model_of_transformers_goes_to_gguf(kind: str, tmp_path: Path) -> None:
    said: list[str] = []
    found = newleaf.export(
        theirs(tmp_path / "in", kind), tmp_path / "out.gguf", to="gguf", quantize="f16", tell=lambda en, zh: said.append(en)
    )
    assert (found["format"], found["ids_equal"], found["greedy_equal"], found["bpb_change"]) == ("gguf", True, True, None)
    assert 0 < found["max_logit_difference"] < 0.1
    assert "this model has no held-out text: what rounding costs was not measured" in said
    assert found["files"] == [str(tmp_path / "out.gguf"), str(tmp_path / "out.Modelfile")]


def test_the_modelfile_says_how_a_prompt_goes_in(here: Path) -> None:
    newleaf.export("run", "poems.gguf", to="gguf")
    lines = ["FROM ./poems.gguf", "PARAMETER num_ctx 32", "PARAMETER temperature 0.8", "PARAMETER top_p 0.95"]
    plain = [*lines, 'PARAMETER stop "<|endoftext|>"', 'TEMPLATE """{{ .Prompt }}"""']
    assert (here / "poems.Modelfile").read_text("utf-8").splitlines() == plain
    newleaf.export(theirs(here / "in", "qwen2"), "chat.gguf", to="gguf")
    chat = ["FROM ./chat.gguf", "PARAMETER num_ctx 48", *lines[2:], 'PARAMETER stop "<|endoftext|>"']  # its template is in the file
    assert (here / "chat.Modelfile").read_text("utf-8").splitlines() == chat


# what cannot be ---------------------------------------------------------------------------------------------------------


def test_nothing_that_is_there_is_overwritten(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "a.gguf").write_text("mine")
    (here / "b.Modelfile").write_text("mine")
    (here / "c").mkdir()
    (here / "c" / "thesis.doc").write_text("mine")
    for words, taken in {"gguf a.gguf": "a.gguf", "gguf b.gguf": "b.Modelfile", "hf c": "c", "hf a.gguf": "a.gguf"}.items():
        assert run(["export", "run", "--to", *words.split()]) == 2
        assert capsys.readouterr().err.splitlines()[-1] == f"{taken} exists (expected a new name); remove it, or choose another."
    assert names(here) == ["a.gguf", "b.Modelfile", "c", "run"]
    assert {(here / name).read_text() for name in ("a.gguf", "b.Modelfile", "c/thesis.doc")} == {"mine"}


@pytest.mark.parametrize(
    ("words", "english", "chinese"),
    [
        (
            "run --to gguf new/out.Modelfile",
            "new/out.Modelfile would be the Modelfile's name (expected a name that ends in .gguf).",
            "new/out.Modelfile 这个名字要留给 Modelfile（应为以 .gguf 结尾的名字）。",
        ),
        (
            "run --to gguf --quantize f8 new/out.gguf",
            "--quantize is f8 (expected f32 or f16 or bf16 or q8_0 or ",
            "--quantize 的值是 f8（应为 f32、f16、",
        ),
        ("run new/out", "--to is missing (expected hf or gguf).", "缺少 --to（应为 hf 或 gguf）。"),
        (
            "own --to hf new/out",
            "own: this mixture of parts has no family (expected the shape of GPT-2, Llama, Qwen2 or Qwen3).",
            "own：这种部件组合不属于任何模型家族（应为 GPT-2、Llama、Qwen2 或 Qwen3 的形状）。",
        ),
        ("own --to gguf new/out.gguf", "own: this mixture of parts has no family", "own：这种部件组合不属于任何模型家族"),
        ("run --to gguf run/config.json/out.gguf", "the system refused: ", "系统拒绝了这个操作：不是目录"),
    ],
)
def test_a_mistake_is_one_sentence_in_the_language_asked_for_and_makes_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, english: str, chinese: str
) -> None:
    write_model(here / "own", random_decoder(MIXTURE), {})
    before = names(here)
    for language, said in (("en", english), ("zh", chinese)):
        monkeypatch.setenv("NEWLEAF_LANG", language)
        assert run(["export", *words.split()]) in (1, 2)
        lines = capsys.readouterr().err.splitlines()
        assert lines[-1].startswith(said), lines[-1]
        assert not [line for line in lines if "Traceback" in line]
        assert names(here) == before


def test_an_export_speaks_chinese(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("NEWLEAF_LANG", "zh")
    assert run(["export", "run", "--to", "gguf", "--quantize", "q8_0", "诗.gguf"]) == 0
    out, err = capsys.readouterr()
    said = r"写出 2 个文件，\d\.\d MB；词元编号一致；对数概率最多相差 \S+；贪心续写(一致|略有出入)；取整的代价：每字节 [+-]\d\.\d{4} 比特\n"
    assert re.fullmatch(said, out)
    assert err.splitlines()[-1] == "试试：ollama create '诗' -f '诗.Modelfile'"


@pytest.mark.parametrize(("to", "package"), [("hf", "transformers"), ("gguf", "xllamacpp")])
def test_without_its_judge_an_export_is_written_and_said_to_be_unproven(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], to: str, package: str
) -> None:
    for module in ("export", "llamacpp"):
        monkeypatch.setattr(f"newleaf.jobs.{module}.find_spec", lambda name: None)
    for language, unproven in (("en", f"not proven: {package} is not installed"), ("zh", f"未经验证：没有安装 {package}")):
        monkeypatch.setenv("NEWLEAF_LANG", language)
        assert run(["export", "run", "--to", to, language, "--json"]) == 0
        out, err = capsys.readouterr()
        found = json.loads(out)
        assert {name: found[name] for name in FIGURES - {"format", "files"}} == dict.fromkeys(FIGURES - {"format", "files"})
        assert [line for line in err.splitlines() if line.startswith(unproven)]
        assert all(Path(name).exists() for name in found["files"])


# the verdict ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Twin:
    """A judge that is our own decoder, louder by `more`, and takes the best token but `skip`, never one of `ends`."""

    model: Model
    more: float = 0.0
    skip: int = 0
    ends: tuple[int, ...] = ()

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.model.tokenizer.encode(text) for text in texts]

    def greedy(self, prompts: Sequence[Sequence[int]], num_tokens: int) -> list[list[Step]]:
        found = []
        for prompt in prompts:
            ids, steps = list(prompt), list[Step]()
            for _ in range(num_tokens):
                row = self.model.logits(ids)[-1].log_softmax(-1)
                row[[*range(8), *self.ends]] = -torch.inf  # what ends a text is passed over
                best = row.topk(5)
                steps.append(
                    (int(best.indices[self.skip]), dict(zip(best.indices.tolist(), (best.values + self.more).tolist(), strict=True)))
                )
                ids.append(steps[-1][0])
            found.append(steps)
        return found


def verdict(folder: Path, kind: str, known_ends: tuple[int, ...] = (), **other: Any) -> Proof:
    model = newleaf.load(folder)
    prompts = prompts_for(model.tokenizer, model.config.vocab_size, 32)
    return prove(model.decoder, model.tokenizer, Twin(model, **other), kind, prompts, [*range(8), *known_ends])


def test_a_proof_compares_every_step_of_five_texts(trained: Path) -> None:
    found = verdict(trained, "f32")
    assert found.max_logit_difference == pytest.approx(0.0, abs=1e-5)
    assert (found.ids_equal, found.greedy_equal, found.num_near, found.num_steps) == (True, True, 0, 80)


def test_a_word_that_ends_what_its_author_writes_is_passed_over(trained: Path) -> None:
    model = newleaf.load(trained)
    prompts = prompts_for(model.tokenizer, model.config.vocab_size, 32)
    [[(word, _)], *_] = Twin(model).greedy(prompts, 1)
    assert verdict(trained, "f32", (word,), ends=(word,)).greedy_equal
    with pytest.raises(ModelError, match=r"the export writes otherwise: \d+ of 80 tokens are not the best here"):
        verdict(trained, "f32", ends=(word,))


def test_the_coarser_the_numbers_the_more_may_differ(trained: Path) -> None:
    assert verdict(trained, "f16", more=0.05).max_logit_difference == pytest.approx(0.05, abs=1e-4)
    for kind, more in (("f32", 0.05), ("f16", 0.15), ("bf16", 0.6), ("q8_0", 1.1), ("q4_0", 4.1)):
        with pytest.raises(ModelError, match=f"log-probabilities differ by up to {more:.3g} "):
            verdict(trained, kind, more=more)


def test_other_choices_are_refused_in_full_and_half_precision_and_told_of_coarser_numbers(trained: Path) -> None:
    for kind in ("f32", "f16"):
        with pytest.raises(ModelError, match="the export writes otherwise"):
            verdict(trained, kind, skip=1)
    assert verdict(trained, "q4_0", skip=1).greedy_equal is False


# what fails leaves nothing ----------------------------------------------------------------------------------------------


def louder(function: Callable[..., Mapping[str, torch.Tensor]]) -> Callable[..., dict[str, torch.Tensor]]:
    """The same tensors, the output projection a little larger."""
    return lambda *given: {name: tensor * 1.1 if "lm_head" in name else tensor for name, tensor in function(*given).items()}


def test_other_weights_are_noticed_and_nothing_stays(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from newleaf.conversion import huggingface
    from newleaf.jobs import export

    before = names(here)
    write_gguf = export.write_gguf
    monkeypatch.setattr(huggingface, "HuggingfaceWeights", louder(huggingface.HuggingfaceWeights))
    monkeypatch.setattr(export, "write_gguf", lambda path, config, weights, *rest: write_gguf(path, config, louder(dict)(weights), *rest))
    for to in ("hf", "gguf"):
        assert run(["export", "run", "--to", to, "out"]) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert re.fullmatch(r"the export answers otherwise: log-probabilities differ by up to 0\.\d+ \(expected at most 0\.02\)\.", last), (
            last
        )
        assert names(here) == before


def test_rows_in_another_order_are_noticed_and_nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newleaf.conversion.gguf.in_pairs", lambda rows, head_dim: rows)
    folder = theirs(tmp_path / "in", "llama3")
    with pytest.raises(ModelError, match="the export answers otherwise"):
        newleaf.export(folder, tmp_path / "out.gguf", to="gguf", quantize="f16")
    assert names(tmp_path) == ["in"]


def test_other_ids_are_noticed_and_nothing_stays(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_token_merges = gguf.GGUFWriter.add_token_merges
    monkeypatch.setattr(gguf.GGUFWriter, "add_token_merges", lambda self, merges: add_token_merges(self, merges[:1]))
    before = names(here)
    with pytest.raises(ModelError, match=r"the export gives other ids: \[[\d, ]+\] for '"):
        newleaf.export("run", "out.gguf", to="gguf")
    assert names(here) == before


def test_a_file_that_llama_cpp_does_not_take_is_one_sentence(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newleaf.conversion.gguf.LAYER", {**newleaf_layer(), "self_attn.o_proj": "attn_out"})
    before = names(here)
    with pytest.raises(ModelError, match=r"llama\.cpp does not take .*out\.gguf"):
        newleaf.export("run", "out.gguf", to="gguf")
    assert names(here) == before


def newleaf_layer() -> dict[str, str]:
    from newleaf.conversion.gguf import LAYER

    return LAYER


@pytest.mark.parametrize("to", ["hf", "gguf"])
def test_ctrl_c_in_the_middle_of_a_proof_leaves_nothing(here: Path, monkeypatch: pytest.MonkeyPatch, to: str) -> None:
    def interrupt(self: object, prompts: Sequence[Sequence[int]], num_tokens: int) -> list[list[Step]]:
        raise KeyboardInterrupt

    for judge in ("llamacpp.LlamaCpp", "proof.Transformers"):
        monkeypatch.setattr(f"newleaf.jobs.{judge}.greedy", interrupt)
    before = names(here)
    assert run(["export", "run", "--to", to, "out"]) == 130
    assert names(here) == before


def test_a_full_disk_leaves_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("gguf.GGUFWriter.write_tensor_data", full)
    before = names(here)
    with pytest.raises(DiskFullError, match=r"no room left to write .*out\.gguf"):
        newleaf.export("run", "out.gguf", to="gguf")
    assert names(here) == before


def test_a_killed_writer_leaves_a_temporary_name_at_most(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = """
import os, signal
from pathlib import Path
from newleaf import fsio
with fsio.replacing_by_name(Path("out.gguf")) as path:
    path.write_bytes(b"half of it")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == -9
    (left,) = names(tmp_path)
    assert left.startswith(fsio.TEMPORARY)
    fsio.remove_leftovers(tmp_path)
    assert names(tmp_path) == []
