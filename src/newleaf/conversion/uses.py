"""The last part of the model card: what not to expect of the model, and how to open it, by what it was made for."""

from newleaf.conversion.facts import RunFacts
from newleaf.conversion.wording import Words

Use = tuple[str, str, str]  # a program for transformers, a command, a call in Python: each for a model in this directory

WRITES: Use = (
    """
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(".")
tokenizer = AutoTokenizer.from_pretrained(".")
ids = tokenizer("PROMPT", return_tensors="pt").input_ids
print(tokenizer.decode(model.generate(ids, max_new_tokens=100, do_sample=True)[0]))
""",
    'newleaf generate . "PROMPT"',
    'newleaf.load(".").generate("PROMPT")',
)
ANSWERS: Use = (
    """
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(".")
tokenizer = AutoTokenizer.from_pretrained(".")
turns = [{"role": "user", "content": "QUESTION"}]
ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True).input_ids
answer = model.generate(ids, max_new_tokens=200, do_sample=True)[0, ids.shape[1] :]
print(tokenizer.decode(answer, skip_special_tokens=True))
""",
    "newleaf chat .",
    '"".join(newleaf.load(".").answer([{"role": "user", "content": "QUESTION"}]))',
)
TELLS: Use = (
    """
from transformers import pipeline

print(pipeline("text-classification", ".")("TEXT"))
""",
    "newleaf evaluate . FILE",
    'newleaf.load(".").classify("TEXT")',
)
SPELLS: Use = (ANSWERS[0], TELLS[1], TELLS[2])
READS: Use = (ANSWERS[0], TELLS[1], ANSWERS[2])  # more than a line: a paragraph and its question


def use_of(facts: RunFacts) -> Use:
    """How this model is opened."""
    if facts.task == "classify":
        return SPELLS if facts.spelled else TELLS
    return {"": WRITES, "complete": WRITES, "qa": READS}.get(facts.task, ANSWERS)


def limit_of(facts: RunFacts) -> Words:
    """What this model is not."""
    if facts.task == "classify":
        return Words(
            "Every text gets one of its labels, even one that none of them fits: watch the probability.",
            "任何文本都会得到一个标签，哪怕没有一个合适：请留意概率。",
        )
    if facts.task:
        return Words(
            "It does what its examples show and knows nothing but what it read: it states falsehoods as easily as facts.",
            "它照样例的样子做，知道的只有自己读过的东西；说错话和说对话一样轻松。",
        )
    return Words(
        "It knows nothing but its text, states falsehoods as easily as facts, and is not a chat assistant.",
        "它只知道自己读过的文本；说错话和说对话一样轻松；它不是聊天助手。",
    )
