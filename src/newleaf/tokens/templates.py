"""The words of a task in, a chat template out: the Jinja that stands beside a model that was tuned, for us and for everything that
serves models.

`{% generation %}` marks what the assistant says, so that trl learns from the same tokens as we do. A tokenizer with the marks of ChatML
gets those; with another, the words stand in plain text and an answer ends as a text does.

    <|im_start|>text                     Text:
    Tom is here.<|im_end|>               Tom is here.
    <|im_start|>translation
    汤姆在这里。<|im_end|>                Translation: 汤姆在这里。<|endoftext|>
"""

from newleaf.errors import ModelError
from newleaf.tokens.interface import AnyTokenizer

BEGIN, END = "<|im_start|>", "<|im_end|>"
Words = tuple[str, str]  # for who asks and for who answers
MESSAGES = "{% for message in messages %}"
ANSWER = "{% generation %}{{ message.content }}"


def chat_template(tokenizer: AnyTokenizer, words: Words | None) -> str:
    """For one tokenizer; no words: an answer goes on from its question, on the next line."""
    end = name_of(tokenizer, tokenizer.end_of_text)
    if words is None:
        said = f"{ANSWER}{end}{{% endgeneration %}}"
        return turns("{{ message.content }}{{ '\\n' }}", said, "")
    asker, answerer = words
    role = f"('{asker}' if message.role == 'user' else message.role)" if asker != "user" else "message.role"
    if {BEGIN, END} <= tokenizer.special_tokens.keys():
        begins = f"{BEGIN}{answerer}{{{{ '\\n' }}}}"
        said = f"{begins}{ANSWER}{END}{{% endgeneration %}}{{{{ '\\n' }}}}"
        return turns(f"{BEGIN}{{{{ {role} }}}}{{{{ '\\n' }}}}{{{{ message.content }}}}{END}{{{{ '\\n' }}}}", said, begins)
    begins = f"{answerer.capitalize()}:"
    said = f"{begins}{{% generation %}} {{{{ message.content }}}}{end}{{% endgeneration %}}{{{{ '\\n\\n' }}}}"
    return turns(f"{{{{ {role} | capitalize }}}}:{{{{ '\\n' }}}}{{{{ message.content }}}}{{{{ '\\n\\n' }}}}", said, begins)


def turns(asked: str, answered: str, begins: str) -> str:
    """A template of what a question, an answer, and the beginning of an answer look like."""
    said = f"{{% if message.role == 'assistant' %}}{answered}{{% else %}}{asked}{{% endif %}}"
    asking = f"{{% if add_generation_prompt %}}{begins}{{% endif %}}" if begins else ""
    return MESSAGES + said + "{% endfor %}" + asking


def name_of(tokenizer: AnyTokenizer, id: int) -> str:
    """Of a special token. ModelError where it is none: a template could not say it."""
    for name, other in tokenizer.special_tokens.items():
        if other == id:
            return name
    raise ModelError("this tokenizer has no mark for the end of a text", expected="one among its special tokens")


def end_of_turn(tokenizer: AnyTokenizer) -> int:
    """The id after which an answer in these templates is over."""
    return tokenizer.special_tokens.get(END, tokenizer.end_of_text)
