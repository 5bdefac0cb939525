"""The command line itself: what it does with what nobody foresaw."""

import json

import pytest

from newleaf.cli.main import run


def test_a_bug_is_one_sentence_after_its_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("leaf")

    monkeypatch.setattr("newleaf.api.load", fail)
    assert run(["generate", "run", "--json"]) == 1
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1] == "this is a bug of newleaf: KeyError: 'leaf'; please open an issue in its repository, with the lines above."
    assert json.loads(out)["error"]["message"] == lines[-1]
