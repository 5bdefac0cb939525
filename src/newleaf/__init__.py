"""newleaf: give it your text and your evening; it gives you your own GPT.

>>> import newleaf
>>> newleaf.train("poems/", minutes=60, out="runs/poems")  # doctest: +SKIP
>>> newleaf.load("runs/poems").generate("春眠不觉晓", top_p=0.9)  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

from newleaf.version import __version__

if TYPE_CHECKING:
    from newleaf.api import augment, evaluate, export, load, plan, train, tune, verify

__all__ = ["__version__", "augment", "evaluate", "export", "load", "plan", "train", "tune", "verify"]


def __getattr__(name: str) -> Any:
    """The verbs, imported when they are first used, so that any part of newleaf can be imported by itself."""
    if name in __all__:
        from newleaf import api

        return getattr(api, name)
    raise AttributeError(f"module 'newleaf' has no attribute {name!r}")
