"""docs/formats.md says what happens: which models and tokenizers come in, and in which formats they go out."""

import os
from pathlib import Path

import pytest
from pages import ROOT

from newleaf import fsio

for package in ("transformers", "gguf", "xllamacpp"):
    pytest.importorskip(package)

PAGE = ROOT / "docs" / "formats.md"


def test_the_table_of_formats_is_what_happens(tmp_path: Path) -> None:
    from conversion.matrix import MODELS, TOKENIZERS, page

    found = page(tmp_path)
    if os.environ.get("NEWLEAF_WRITE_DOCS") == "1":
        fsio.write_text(PAGE, found)
    assert PAGE.read_text("utf-8") == found
    assert "NOT EQUAL" not in found
    assert "does not take" not in found  # what llama.cpp cannot run is refused before it is written
    assert found.count("| equal ") > 1.5 * (len(MODELS) + len(TOKENIZERS))
