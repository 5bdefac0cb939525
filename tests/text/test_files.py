"""Names in, the same paths in the same order out, whatever stands on the disk."""

import os
import sys
from pathlib import Path

import pytest
from text.samples import write

from newleaf.errors import TextError
from newleaf.text.document import Skipped
from newleaf.text.files import default_inputs, default_name, find, identities, shown

posix = pytest.mark.skipif(os.name != "posix", reason="links and pipes as POSIX has them")


def names(given: Path | str, below: Path, **options: set[tuple[int, int]]) -> list[str]:
    return [found.relative_to(below).as_posix() for found in find(str(given), **options) if isinstance(found, Path)]


def passed_over(given: Path) -> dict[str, str]:
    return {Path(found.source).relative_to(given).as_posix(): found.reason for found in find(str(given)) if isinstance(found, Skipped)}


def test_folders_are_read_with_all_they_hold_in_the_order_of_names(tmp_path: Path) -> None:
    write(tmp_path, b_txt="", a__z_txt="", a__b__c_txt="", a_txt="", B_txt="", c__a_md="")
    assert names(tmp_path, tmp_path) == ["B.txt", "a/b/c.txt", "a/z.txt", "a.txt", "b.txt", "c/a.md"]


def test_hidden_files_are_named_and_version_control_is_not(tmp_path: Path) -> None:
    write(tmp_path, _hidden="", _DS_Store="", a__b_txt="")
    write(tmp_path / ".git", config="")
    write(tmp_path / ".notes", a_txt="")
    assert names(tmp_path, tmp_path) == ["a/b.txt"]
    assert passed_over(tmp_path) == {".hidden": "hidden", ".DS.Store": "hidden", ".notes": "hidden"}


def test_a_hidden_file_or_folder_that_is_named_is_read(tmp_path: Path) -> None:
    write(tmp_path / ".notes", a_txt="")
    assert names(tmp_path / ".notes", tmp_path) == names(tmp_path / ".notes" / "a.txt", tmp_path) == [".notes/a.txt"]


@posix
def test_links_are_followed_but_no_folder_is_entered_twice(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", c_txt="")
    write(tmp_path / "data", a_txt="", b__b_txt="")
    (tmp_path / "data" / "b" / "up").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "c").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "d").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "e.txt").symlink_to(tmp_path / "elsewhere" / "c.txt")
    assert names(tmp_path / "data", tmp_path / "data") == ["a.txt", "b/b.txt", "c/c.txt", "e.txt"]
    assert passed_over(tmp_path / "data") == dict.fromkeys(["b/up", "d"], "a link to a folder that is read already")


@posix
def test_two_loops_of_links_in_each_of_many_folders_end(tmp_path: Path) -> None:
    for name in "abcdefghij":
        write(tmp_path / name, x_txt="")
        (tmp_path / name / "1").symlink_to(tmp_path)
        (tmp_path / name / "2").symlink_to(tmp_path)
    assert len(names(tmp_path, tmp_path)) == len(names(f"{tmp_path}/**/*.txt", tmp_path)) == 10


@posix
def test_pipes_devices_and_broken_links_are_named_and_never_opened(tmp_path: Path) -> None:
    write(tmp_path, a_txt="")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "gone").symlink_to(tmp_path / "missing")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert names(tmp_path, tmp_path) == ["a.txt"]
    no_file = "a device or a pipe, not a file"
    assert passed_over(tmp_path) == {"pipe": no_file, "zero": no_file, "gone": "a link to nothing", "self": "a link to itself"}
    assert [found.reason for found in find(str(tmp_path / "pipe")) if isinstance(found, Skipped)] == [no_file]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    write(tmp_path, a_txt="", b__c_txt="")
    (tmp_path / "b").chmod(0)
    assert passed_over(tmp_path) == {"b": "no permission to read it"}
    (tmp_path / "b").chmod(0o700)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.txt", ["a.txt", "b.txt"]),
        ("?.txt", ["a.txt", "b.txt"]),
        ("[ab].*", ["a.md", "a.txt", "b.txt"]),
        ("**/*.txt", ["a.txt", "b.txt", "sub/c.txt", "sub/deep/d.txt"]),
        ("**", ["a.md", "a.txt", "b.txt", "sub/c.txt", "sub/deep/d.txt", "sub/deep/e.md"]),
        ("*/c.txt", ["sub/c.txt"]),
        ("s*", ["sub/c.txt", "sub/deep/d.txt", "sub/deep/e.md"]),
        ("**/deep/*", ["sub/deep/d.txt", "sub/deep/e.md"]),
        ("sub/**/*.md", ["sub/deep/e.md"]),
        ("*.rst", []),
        ("missing/*.txt", []),
    ],
)
def test_globs(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    write(tmp_path, a_txt="", b_txt="", a_md="", _hidden_txt="", sub__c_txt="", sub__deep__d_txt="", sub__deep__e_md="")
    assert names(tmp_path / pattern, tmp_path) == expected


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path: Path) -> None:
    write(tmp_path, a_txt="")
    (tmp_path / "[a].txt").write_text("")
    assert names(tmp_path / "[a].txt", tmp_path) == ["[a].txt"]


@posix
def test_names_of_any_bytes_can_be_shown(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"\xff\xfe line\nend.txt")
    odd.write_text("")
    assert names(tmp_path, tmp_path) == [odd.name]
    assert shown(odd.name).encode() == rb"\xff\xfe line" + b"\nend.txt"


def test_what_is_excluded_and_runs_of_newleaf_are_not_text(tmp_path: Path) -> None:
    write(tmp_path, a_txt="", b__c_txt="", d_txt="")
    write(tmp_path / "runs" / "one", newleaf_toml="", data__manifest_json="", README_md="")
    assert names(tmp_path, tmp_path, excluded=identities([tmp_path / "b", tmp_path / "d.txt", tmp_path / "missing"])) == ["a.txt"]
    assert passed_over(tmp_path) == {"runs/one": "a run of newleaf, not text"}


@pytest.mark.parametrize("missing", ["poms.txt", "", "no/such/folder", "a\0b", "x" * 5000, "poems.txt/below"])
def test_what_does_not_exist_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, poems_txt="")
    with pytest.raises(TextError) as error:
        find(missing)
    assert ("did you mean poems.txt?" in str(error.value)) == (missing == "poms.txt")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("poems.txt.gz", "poems"),
        ("texts/poems.txt", "poems"),
        ("poems.jsonl", "poems"),
        ("poems", "poems"),
        ("poet.tang.0.json", "poet.tang.0"),
        ("Dr. Jekyll and Mr. Hyde.txt", "Dr. Jekyll and Mr. Hyde"),
        ("三国演义.txt", "三国演义"),
        ("folder.d", "folder.d"),
        ("folder.d/", "folder.d"),
        ("folder.d/.", "folder.d"),
        ("folder.d/*.txt", "folder.d"),
        ("folder.d/**/*.txt", "folder.d"),
        ("folder.d/a*/b.txt", "folder.d"),
        ("folder.d/..", "here"),
        (".", "here"),
        ("./", "here"),
        ("*.txt", "here"),
        (".notes", "notes"),
        ("-", "stdin"),
        ("/", "text"),
        ("a\0b", "a\0b"),
    ],
)
def test_a_run_is_named_after_its_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, expected: str) -> None:
    here = write(tmp_path / "here", folder_d__x_txt="")
    monkeypatch.chdir(here)
    assert default_name([given]) == expected


def test_without_text_a_run_is_called_python() -> None:
    assert default_name([]) == "python"


def test_the_standard_library_comes_without_its_tests() -> None:
    found = [Path(name) for name in default_inputs()]
    assert {"argparse.py", "dataclasses.py"} <= {path.name for path in found}
    assert not [path for path in found if {"test", "tests", "idle_test", "site-packages", "__pycache__"} & set(path.parts[-4:-1])]
    assert len(found) > 300
    assert found == [Path(name) for name in default_inputs()]
    assert all(path.suffix == ".py" and path.is_file() for path in found)
    assert Path(sys.modules["json"].__file__ or "") in found
