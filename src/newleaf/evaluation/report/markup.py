"""HTML from Python, escaped by default: a plain string is always text, only what `tag` returns is markup.

So no text of a person or a model can become markup because somewhere an escape was forgotten.
"""

import re
from collections.abc import Iterable
from html import escape as escape_text

from newleaf.conversion.wording import Words


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


Content = str | Html | Words | None | Iterable["Content"]

VOID = frozenset({"input", "meta", "br"})
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]")
"""Not allowed in HTML, or (the last two ranges) able to turn the direction of the text around them."""


def escape(text: str) -> Html:
    """
    >>> escape('<b> & "it"')
    '&lt;b&gt; &amp; &quot;it&quot;'
    """
    return Html(escape_text(UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)))


def tag(name: str, /, *content: Content, **attributes: object) -> Html:
    """An element. Attributes: `class_` is class, `data_x` is data-x, True stands alone, None and False are left out.

    >>> tag("p", "1 < 2", tag("br"), class_="note")
    '<p class="note">1 &lt; 2<br></p>'
    """
    shown = "".join(attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    return Html(f"<{name}{shown}>" if name in VOID else f"<{name}{shown}>{join(content)}</{name}>")


def attribute(name: str, value: object) -> str:
    """One attribute with the space before it."""
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


def join(content: Content) -> Html:
    """Markup of anything that may stand inside an element."""
    if content is None:
        return Html("")
    if isinstance(content, Html):
        return content
    if isinstance(content, str):
        return escape(content)
    if isinstance(content, Words):
        return bilingual(content)
    return Html("".join(map(join, content)))


def bilingual(words: Words, element: str = "span") -> Html:
    """Both languages, of which the page shows one; said once where they are the same."""
    if words.en == words.zh:
        return prose(words.en)
    parts = (("en", "en", words.en), ("zh", "zh-Hans", words.zh))
    return Html("".join(tag(element, prose(text), class_=language, lang=code) for language, code, text in parts))


def prose(text: str) -> Html:
    """Escaped text whose `backticks` are code.

    >>> prose("run `ls <x>`")
    'run <code>ls &lt;x&gt;</code>'
    """
    return Html(re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text)))
