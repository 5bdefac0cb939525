"""Named tensors in one safetensors file, written piece by piece: no second copy in memory, the same bytes for the same tensors.

Format: https://github.com/huggingface/safetensors (eight bytes of header length, JSON header, raw little-endian data).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from newleaf import fsio
from newleaf.checkpoint.seal import SEAL, seal_of

NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int64: "I64", torch.int32: "I32"}


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Replace `path`; returns its sha256. Tensors are stored in the order of their names, contiguous, in their own dtype, sealed.

    Each is asked for several times, and let go before the next one: a mapping may make them as they are asked for.
    """
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    offset = 0
    for name in sorted(tensors):
        tensor = tensors[name]
        size = tensor.numel() * tensor.element_size()
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, offset + size]}
        offset += size
    header["__metadata__"][SEAL] = seal_of(header, raw(tensors))
    head = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with fsio.replacing(path, needed=8 + len(head) + offset) as writer:
        writer.write(len(head).to_bytes(8, "little") + head)
        for piece in raw(tensors):
            writer.write(piece)
    return writer.sha256


def raw(tensors: Mapping[str, Tensor]) -> Iterator[memoryview]:
    """The bytes of each tensor in the order of the names, one at a time."""
    for name in sorted(tensors):
        tensor = tensors[name]
        if tensor.numel():
            yield tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
