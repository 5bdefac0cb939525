"""What the engine promises: the text of its twin, of transformers, of each sample alone, and an honest end."""

from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

import pytest
import torch
from generation.models import PROMPTS, model, shapes, tokenizer
from transformers import AutoModelForCausalLM

from newleaf.conversion.huggingface import write_model
from newleaf.errors import UsageError
from newleaf.generation.engine import Engine, Sample, generate_naively, rounded
from newleaf.generation.settings import Sampling
from newleaf.model.config import preset
from newleaf.model.layers import Precision

GREEDY = Sampling(greedy=True, max_tokens=30)
FAMILIES = pytest.mark.parametrize("family", shapes())


def engine(family: str = "qwen3", precision: Precision = "float32", seed: int = 0) -> Engine:
    return Engine(model(shapes()[family], seed), tokenizer(), precision)


def shown(ids: Iterable[int]) -> str:
    """The text of ids without special tokens."""
    return tokenizer().decode(id for id in ids if id not in tokenizer().special_tokens.values())


def varied(engine: Engine, sampling: Sampling, prompt: str = "To be") -> Sample:
    """A sample that is no endless repetition, or the tests would show nothing."""
    (sample,) = engine.generate(prompt, sampling)
    assert len(set(sample.ids)) >= 5
    return sample


@FAMILIES
@pytest.mark.parametrize("sampling", [GREEDY, Sampling(max_tokens=30, repetition_penalty=1.2, min_p=0.01, seed=5)], ids=["greedy", "drawn"])
def test_text_equals_that_of_the_naive_twin(family: str, sampling: Sampling) -> None:
    machine = engine(family)
    for prompt in PROMPTS[:3]:
        (sample,) = machine.generate(prompt, sampling)
        assert sample.ids == generate_naively(machine.model, tokenizer(), prompt, sampling)


def test_the_whole_decoder_which_other_devices_use_writes_the_same_text() -> None:
    machine, sampling = engine(), Sampling(temperature=1.5, n=3, max_tokens=30)
    expected = machine.generate("To be", sampling)
    machine._row = None
    assert machine.generate("To be", sampling) == expected


@FAMILIES
def test_greedy_text_equals_that_of_transformers_generate(family: str, tmp_path: Path) -> None:
    machine = engine(family)
    write_model(tmp_path, machine.model, {})
    judge = AutoModelForCausalLM.from_pretrained(tmp_path)
    for prompt in PROMPTS:
        ids = torch.tensor([machine.encode(prompt)])
        options = {"do_sample": False, "max_new_tokens": 64, "eos_token_id": tokenizer().end_of_text, "pad_token_id": 3}
        written = judge.generate(ids, attention_mask=torch.ones_like(ids), **options)[0, ids.shape[1] :].tolist()
        (sample,) = machine.generate(prompt, Sampling(greedy=True, max_tokens=64))
        assert sample.ids == [id for id in written if id != tokenizer().end_of_text]
        assert sample.text == shown(written)


@FAMILIES
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_n_samples_equal_the_single_calls_with_seeds_that_follow(family: str, precision: Precision) -> None:
    machine = engine(family, precision)
    for prompt in ("To be", "", "春眠"):
        together = machine.generate(prompt, Sampling(n=4, seed=7, max_tokens=16, temperature=1.2))
        alone = [machine.generate(prompt, Sampling(seed=seed, max_tokens=16, temperature=1.2))[0] for seed in range(7, 11)]
        assert together == alone
        assert len({sample.text for sample in together}) > 1


def test_samples_of_unequal_length_do_not_touch_one_another() -> None:
    machine = engine()
    sampling = {"temperature": 1.5, "stop": ("e", "，"), "max_tokens": 30}
    together = machine.generate("To be", Sampling(n=6, **sampling))
    assert len({len(sample.ids) for sample in together}) > 1
    assert together == [machine.generate("To be", Sampling(seed=seed, **sampling))[0] for seed in range(6)]


def test_the_same_seed_gives_the_same_text_in_a_new_engine() -> None:
    sampling = Sampling(temperature=1.5, seed=3)
    assert varied(engine(), sampling) == varied(engine(), sampling) != varied(engine(), Sampling(temperature=1.5, seed=4))


@pytest.mark.parametrize(
    "sampling",
    [Sampling(temperature=2, n=3, max_tokens=40, seed=seed, stop=("\n", "be")) for seed in range(3)],
    ids=lambda s: f"seed {s.seed}",
)
def test_streamed_pieces_are_the_text(sampling: Sampling) -> None:
    machine, pieces, samples = engine(), list[str](), list[Sample]()
    for item in machine.stream("春眠", sampling):
        if isinstance(item, Sample):
            assert "".join(pieces) == item.text
            samples.append(item)
            pieces.clear()
        else:
            assert item
            pieces.append(item)
    assert samples == machine.generate("春眠", sampling)


def test_ids_give_the_text() -> None:
    machine = engine()
    for seed in range(10):
        sample = varied(machine, Sampling(temperature=1.5, seed=seed, max_tokens=40))
        assert shown(sample.ids) == sample.text


@pytest.mark.parametrize("stop", ["e", "t", " ", "，", "o b", "\n\n"])
def test_a_stop_string_ends_the_text_before_it_even_inside_a_token(stop: str) -> None:
    machine = engine()
    for seed in range(4):
        free = varied(machine, Sampling(temperature=1.5, seed=seed, max_tokens=40))
        (sample,) = machine.generate("To be", Sampling(temperature=1.5, seed=seed, max_tokens=40, stop=(stop,)))
        if stop in free.text:
            assert (sample.text, sample.stopped_by) == (free.text[: free.text.index(stop)], "stop")
            assert shown(sample.ids) == sample.text
        else:
            assert sample == free


def test_an_end_of_text_ends_it_and_is_not_part_of_it() -> None:
    free = varied(engine(), GREEDY)
    end = free.ids[5]
    (sample,) = Engine(model(shapes()["qwen3"]), tokenizer(), ends=[end, 9999]).generate("To be", GREEDY)
    assert sample.ids == list(takewhile(lambda id: id != end, free.ids))
    assert sample.stopped_by == "end"


def test_special_tokens_within_a_text_are_not_shown() -> None:
    hidden = set(tokenizer().special_tokens.values())
    samples = engine().generate("To be", Sampling(temperature=50, top_p=1, n=12, max_tokens=40))
    assert hidden & {id for sample in samples for id in sample.ids}
    assert not any(name in sample.text for name in tokenizer().special_tokens for sample in samples)
    assert all(sample.stopped_by == "end" or tokenizer().end_of_text not in sample.ids for sample in samples)


@pytest.mark.parametrize("max_tokens", [1, 2, 17])
def test_max_tokens_is_a_count_of_tokens(max_tokens: int) -> None:
    (sample,) = engine().generate("To be", Sampling(greedy=True, max_tokens=max_tokens))
    assert (len(sample.ids), sample.stopped_by) == (max_tokens, "length")


def test_prompt_and_text_together_fill_the_context_and_no_more() -> None:
    machine = engine()
    context, num_prompt = machine.model.config.context, len(machine.encode("To be"))
    (sample,) = machine.generate("To be", Sampling(greedy=True, max_tokens=1000))
    assert (num_prompt + len(sample.ids), sample.stopped_by) == (context, "context")
    (sample,) = machine.generate("To be", Sampling(greedy=True, max_tokens=context - num_prompt))
    assert (num_prompt + len(sample.ids), sample.stopped_by) == (context, "length")


def test_a_prompt_that_fills_the_context_leaves_no_room_and_a_longer_one_is_refused() -> None:
    machine = engine()
    full = "x" * machine.model.config.context
    assert machine.generate(full, Sampling(n=2)) == 2 * [Sample("", [], "context")]
    with pytest.raises(UsageError, match=r"^the prompt has 97 tokens \(expected at most 96, the model's context\); shorten it\.$"):
        machine.generate(full + "x")


def test_an_empty_prompt_is_end_of_text_and_nothing_is_put_before_another() -> None:
    machine = engine()
    assert machine.encode("") == [tokenizer().end_of_text]
    assert machine.encode("To be") == tokenizer().encode("To be")


def test_a_model_with_more_rows_than_there_are_tokens_writes_tokens() -> None:
    config = preset("llama", vocab_size=tokenizer().vocab_size + 500, width=32, depth=1, context=64)
    for sample in Engine(model(config), tokenizer()).generate("To be", Sampling(temperature=5, top_p=1, n=5)):
        assert all(id < tokenizer().vocab_size for id in sample.ids)


def test_generating_asks_for_no_gradients_and_leaves_the_weights_as_they_are() -> None:
    decoder = model(shapes()["gpt2"])
    before = {name: weight.clone() for name, weight in decoder.state_dict().items()}
    Engine(decoder, tokenizer(), "bf16").generate("To be", GREEDY)
    assert all(weight.grad is None and weight.dtype == torch.float32 and weight.requires_grad for weight in decoder.parameters())
    assert all(torch.equal(before[name], weight) for name, weight in decoder.state_dict().items())


@FAMILIES
def test_a_prompt_is_read_in_bf16_as_if_each_use_rounded_the_weights(family: str) -> None:
    decoder = model(shapes()[family])
    ids = torch.tensor([tokenizer().encode("To be, or not")])
    with torch.inference_mode():
        assert torch.equal(rounded(decoder).hidden(ids, precision="bf16"), decoder.hidden(ids, precision="bf16"))
    own = {id(each) for each in decoder.parameters()}
    assert {name.split(".")[-2] for name, each in rounded(decoder).named_parameters() if id(each) not in own} <= {
        *(f"{letter}_proj" for letter in "qkvo"),
        *("gate_proj", "up_proj", "down_proj"),
    }
