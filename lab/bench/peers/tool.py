"""What an adaptor answers about its tool, and what all of them share."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from newleaf.runtime import available_cores
from peers.scoring import Trained
from peers.settings import Setting
from peers.texts import RaceError, Text


@dataclass(frozen=True)
class Command:
    """A process to start, and how one line of its output tells the seconds of an iteration."""

    words: list[str]
    folder: Path
    environment: dict[str, str]
    timing: re.Pattern[str]  # groups: iteration, milliseconds


class Peer(Protocol):
    """A tool without a clock."""

    name: str

    def require(self) -> None:
        """RaceError if the tool is not there."""

    def prepare(self, text: Text, setting: Setting, folder: Path) -> Path:
        """The text as the tool reads it, below `folder`; no part of the counted time."""

    def command(self, data: Path, setting: Setting, iterations: int, out: Path, seed: int) -> Command:
        """Training of so many iterations, with all that is no training switched off."""

    def trained(self, data: Path, setting: Setting, out: Path) -> Trained:
        """What such a process left behind."""

    def tokens(self, setting: Setting) -> int:
        """Of one iteration."""


def environment(work: Path, **more: str) -> dict[str, str]:
    """This one's, with all cores, nothing fetched, and nothing written into a peer's folder."""
    ours = {"OMP_NUM_THREADS": str(available_cores()), "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    offline = {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled", "TOKENIZERS_PARALLELISM": "false"}
    return os.environ | ours | offline | {"TORCHINDUCTOR_CACHE_DIR": str(work / "compiled")} | more


def run_quietly(words: list[str], folder: Path, environment: dict[str, str]) -> None:
    """A script of a peer that comes before training. RaceError with what it said last if it fails."""
    done = subprocess.run(words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RaceError(f"{' '.join(words[1:])} failed: {done.stdout.strip().splitlines()[-1:]}")


def require_packages(tool: str, *names: str) -> None:
    """RaceError if one of them cannot be imported here."""
    if missing := [name for name in names if importlib.util.find_spec(name) is None]:
        raise RaceError(f"{tool} needs {', '.join(missing)}: pip install {' '.join(missing)} where race.py runs.")


def require_folder(tool: str, folder: Path | None, file: str) -> Path:
    """RaceError if the path of a peer is not given or not its own."""
    if folder is None:
        raise RaceError(f"{tool} is no package: name the folder of its source with --{tool} PATH.")
    if not (folder / file).exists():
        raise RaceError(f"--{tool} {folder} has no {file}: it must be the folder of its source.")
    return folder.resolve()


def importable(folder: Path) -> None:
    """Let Python import from a peer's folder, without writing there."""
    sys.dont_write_bytecode = True
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def emptied(folder: Path) -> Path:
    """A new folder of that name."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
