"""What a decoder is, in numbers: one set of axes, and presets that are points on them. Imports no torch."""

from dataclasses import dataclass
from math import inf
from typing import Any, Literal, get_args

from newleaf.errors import SettingError

Norm = Literal["layernorm", "rmsnorm"]
Positions = Literal["learned", "sinusoidal", "rope"]
Mlp = Literal["gelu", "relu", "swiglu"]
Bias = Literal["all", "qkv", "none"]
RopeScaling = Literal["none", "linear", "dynamic", "llama3", "yarn"]


@dataclass(frozen=True)
class ModelConfig:
    """The shape of one decoder.

    >>> config = preset("qwen3", vocab_size=1024, width=256, depth=4)
    >>> config.heads, config.head_dim, config.family
    (4, 64, 'qwen3')
    """

    vocab_size: int
    width: int  # of the residual stream
    depth: int  # number of layers
    heads: int
    kv_heads: int  # divides heads
    head_dim: int  # free: heads * head_dim need not be width
    mlp_width: int
    context: int  # the longest sequence, in tokens
    norm: Norm = "rmsnorm"
    positions: Positions = "rope"
    mlp: Mlp = "swiglu"  # gelu is the tanh approximation, as in GPT-2
    bias: Bias = "none"  # qkv: on q, k and v alone, as in Qwen2
    qk_norm: bool = True  # RMSNorm over each head of q and k, as in Qwen3
    tied: bool = False  # the output projection is the embedding
    norm_eps: float = 1e-6
    rope_theta: float = 10_000.0
    rope_scaling: RopeScaling = "none"  # how rotary positions were stretched when a longer context was grafted on
    rope_factor: float = 1.0  # by how much
    rope_original_context: int = 0  # what the model was trained with before: of dynamic, llama3 and yarn
    rope_low_frequency: float = 1.0  # of llama3 and yarn: pairs that turn fewer times in the original context are slowed by the factor …
    rope_high_frequency: float = 4.0  # … those that turn more often are kept, those between are mixed
    rope_attention_factor: float = 1.0  # of yarn: what sines and cosines are multiplied with
    rope_truncate: bool = True  # of yarn: borders between pairs, not inside of one
    num_labels: int = 0  # of a model that classifies: in the place of the output projection, a head that scores so many labels

    def __post_init__(self) -> None:
        for name in ("vocab_size", "width", "depth", "heads", "kv_heads", "head_dim", "mlp_width", "context"):
            if getattr(self, name) < 1:
                raise SettingError(f"model.{name} is {getattr(self, name)}", expected="a whole number from 1 up")
        for name in ("norm_eps", "rope_theta", "rope_factor", "rope_attention_factor"):
            if not 0 < getattr(self, name) < inf:
                raise SettingError(f"model.{name} is {getattr(self, name)}", expected="a number above 0")
        for name, kind in {"norm": Norm, "positions": Positions, "mlp": Mlp, "bias": Bias, "rope_scaling": RopeScaling}.items():
            if getattr(self, name) not in get_args(kind):
                raise SettingError(f"model.{name} is {getattr(self, name)!r}", expected=" or ".join(get_args(kind)))
        if self.heads % self.kv_heads:
            raise SettingError(f"model.kv_heads {self.kv_heads} does not divide model.heads {self.heads}", hint="take a divisor")
        if self.positions == "rope" and self.head_dim % 2:
            raise SettingError(f"model.head_dim {self.head_dim} is odd", expected="an even number, because rotary positions turn pairs")
        if self.positions == "rope" and self.rope_scaling in ("dynamic", "llama3", "yarn"):
            self._require_room_to_stretch()

    def _require_room_to_stretch(self) -> None:
        """SettingError where a scaling has no original context, or divides by nothing."""
        if self.rope_original_context < 1:
            raise SettingError(f"model.rope_original_context is {self.rope_original_context}", expected="a whole number from 1 up")
        if self.rope_scaling == "dynamic":
            if self.head_dim < 4 or self.rope_factor < 1:
                raise SettingError(
                    f"dynamic scaling by {self.rope_factor:g} of heads of {self.head_dim}", expected="1 or more, of 4 or more"
                )
        elif not 0 < self.rope_low_frequency < self.rope_high_frequency < inf or self.rope_theta <= 1:
            frequencies = f"{self.rope_low_frequency:g} and {self.rope_high_frequency:g}"
            raise SettingError(f"rope frequencies {frequencies} with theta {self.rope_theta:g}", expected="0 < low < high, theta above 1")

    @property
    def family(self) -> str | None:
        """The transformers class family that holds this configuration: gpt2, llama, qwen2, qwen3, or None.

        The articles' model (layernorm, sinusoidal, relu) exports as GPT-2 with relu, its positions as the table.
        """
        plain_heads = self.heads * self.head_dim == self.width and self.kv_heads == self.heads
        if self.norm == "layernorm" and self.positions in ("learned", "sinusoidal") and self.mlp in ("gelu", "relu"):
            return "gpt2" if self.bias == "all" and not self.qk_norm and plain_heads else None
        if self.norm != "rmsnorm" or self.positions != "rope" or self.mlp != "swiglu":
            return None
        if self.qk_norm:
            return "qwen3" if self.bias == "none" else None
        if self.bias == "qkv":
            return "qwen2" if self.heads * self.head_dim == self.width else None
        return "llama" if self.width % self.heads == 0 else None


def preset(name: str, *, vocab_size: int, width: int, depth: int, context: int = 256, **overrides: Any) -> ModelConfig:
    """A family's shape at a given size: `gpt2`, `llama`, `qwen2`, `qwen3` or `vaswani` (the model of the popular articles).

    Heads are 64 wide (32 below a width of 128, or what divides the width where the family asks for that) unless `heads` or
    `head_dim` say otherwise; other axes may be overridden by name.
    """
    if name not in PRESETS:
        raise SettingError(f"unknown model.family {name!r}", expected=" or ".join(PRESETS))
    axes = PRESETS[name] | overrides
    heads, head_dim = axes.pop("heads", None), axes.pop("head_dim", None)
    if heads is None:
        most = max(1, width // (head_dim or (64 if width >= 128 else 32)))
        free = head_dim is not None or name == "qwen3"
        heads = most if free else max(number for number in range(1, most + 1) if width % number == 0)
        head_dim = head_dim or (min(width, 64 if width >= 128 else 32) if free else width // heads)
    wide = 4 * width if axes["mlp"] != "swiglu" else max(64, -(-width * 8 // 3 // 64) * 64)
    sizes = {"kv_heads": heads, "head_dim": head_dim or width // max(1, heads), "mlp_width": wide}
    return ModelConfig(vocab_size=vocab_size, width=width, depth=depth, heads=heads, context=context, **sizes | axes)


GPT2: dict[str, Any] = {
    "norm": "layernorm",
    "positions": "learned",
    "mlp": "gelu",
    "bias": "all",
    "qk_norm": False,
    "tied": True,
    "norm_eps": 1e-5,
}
PRESETS: dict[str, dict[str, Any]] = {
    "gpt2": GPT2,
    "llama": {"norm": "rmsnorm", "positions": "rope", "mlp": "swiglu", "bias": "none", "qk_norm": False, "norm_eps": 1e-5},
    "qwen2": {"norm": "rmsnorm", "positions": "rope", "mlp": "swiglu", "bias": "qkv", "qk_norm": False},
    "qwen3": {"norm": "rmsnorm", "positions": "rope", "mlp": "swiglu", "bias": "none", "qk_norm": True},
    "vaswani": GPT2 | {"positions": "sinusoidal", "mlp": "relu", "tied": False},
}
