"""What to do with a model, by what it was made for: the command to try it with, how other programs open it, and what not to expect.

For the last line of a run, its report and its card.
"""

from newleaf.conversion.facts import RunFacts
from newleaf.conversion.wording import Words

WRITES = """
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(".")
tokenizer = AutoTokenizer.from_pretrained(".")
ids = tokenizer("PROMPT", return_tensors="pt").input_ids
print(tokenizer.decode(model.generate(ids, max_new_tokens=100, do_sample=True)[0]))
"""
ANSWERS = """
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(".")
tokenizer = AutoTokenizer.from_pretrained(".")
turns = [{"role": "user", "content": "QUESTION"}]
ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True).input_ids
answer = model.generate(ids, max_new_tokens=200, do_sample=True)[0, ids.shape[1] :]
print(tokenizer.decode(answer, skip_special_tokens=True))
"""
TELLS = """
from transformers import pipeline

print(pipeline("text-classification", ".")("TEXT"))
"""


def command_of(task: str, run: str) -> str:
    """What to try a tuned model with. A paragraph with its question is more than the line that chat reads.

    >>> command_of("chat", "runs/a"), command_of("qa", "runs/b")
    ('newleaf chat runs/a', 'newleaf evaluate runs/b FILE')
    """
    return f"newleaf evaluate {run} FILE" if task in ("classify", "qa") else f"newleaf chat {run}"


def use_of(facts: RunFacts) -> tuple[str, str, str]:
    """(a program for transformers, a command, a call in Python), each for a model in this directory."""
    if not facts.task:
        return WRITES, 'newleaf generate . "PROMPT"', 'newleaf.load(".").generate("PROMPT")'
    command = command_of(facts.task, ".")
    if facts.task == "classify":
        return ANSWERS if facts.spelled else TELLS, command, 'newleaf.load(".").classify("TEXT")'
    return ANSWERS, command, '"".join(newleaf.load(".").answer([{"role": "user", "content": "QUESTION"}]))'


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
