"""One laboratory for all reliability tests of a worker: its server of forks imports torch once."""

from collections.abc import Iterator

import pytest
from reliability.harness import Laboratory, laboratory


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    with laboratory(tmp_path_factory.mktemp("lab")) as lab:
        yield lab
