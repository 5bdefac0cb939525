"""The name of a model in, a folder on this machine out: the folder itself, or a model of the hub in the library's own cache.

HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE and HF_TOKEN act as everywhere: huggingface_hub reads them.
"""

import os
import re
from pathlib import Path

from newleaf.errors import ModelError

NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
WANTED = ["*.json", "*.safetensors", "*.jinja", "merges.txt", "vocab.bpe"]
UNWANTED = ["*/*", "consolidated*"]  # other formats in folders of their own; a second copy of the weights
UNREACHED = ("cannot be reached, nor is it in the cache", "connect, set HF_ENDPOINT to a mirror, or name a folder")
REASONS = {
    "GatedRepoError": ("asks for a licence to be accepted", "accept it on the model's page and set HF_TOKEN"),
    "RepositoryNotFoundError": ("is not there, or is private", "check the spelling; for a private one set HF_TOKEN"),
    "HFValidationError": ("cannot be: names look otherwise", "check the spelling"),
    "LocalEntryNotFoundError": UNREACHED,
    "OfflineModeIsEnabled": ("was not looked for, as HF_HUB_OFFLINE is set", "unset it once, or name a folder"),
}


def folder_of(model: str | os.PathLike[str]) -> Path:
    """Where a model's files are; those of a hub name are fetched first. ModelError if there is no such model."""
    path = Path(model)
    if path.is_dir():
        return path
    if path.exists() or not NAME.fullmatch(str(model)) or (path.parent != Path() and path.parent.exists()):
        hint = "train one with: newleaf train YOUR_TEXT"
        raise ModelError(f"{path} is no model", where=str(path), expected="a run directory, a model's folder or a hub name", hint=hint)
    return fetched(str(model))


def fetched(name: str) -> Path:
    """A model of the hub, from its cache where it is complete there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    try:
        return Path(snapshot_download(name, allow_patterns=WANTED, ignore_patterns=UNWANTED))
    except Exception as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        what, hint = next((REASONS[kind] for kind in kinds if kind in REASONS), UNREACHED)
        raise ModelError(f"{name} is no folder here, and on the hub it {what}", where=name, hint=hint) from error
