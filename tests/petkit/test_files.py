"""Files and folders appear whole or not at all; values have one form as JSON."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from petkit import files
from petkit.canonical import canonical_json, hash_json, plain
from petkit.errors import RunError

WRITERS: dict[str, Callable[[Path], None]] = {
    "bytes": lambda path: files.write_bytes(path, b"new"),
    "text": lambda path: files.write_text(path, "new"),
    "json": lambda path: files.write_json(path, {"new": True}),
    "parquet": lambda path: files.write_parquet(path, {"new": [1, 2]}),
    "tensors": lambda path: files.write_tensors(path, {"new": torch.ones(2)}),
}


@pytest.fixture
def seen() -> Iterator[list[str]]:
    """The write points passed, in order."""
    points: list[str] = []
    files.observers.append(points.append)
    yield points
    files.observers.remove(points.append)


@pytest.fixture
def stop_at() -> Iterator[Callable[[str, BaseException], None]]:
    def arrange(name: str, error: BaseException) -> None:
        def observe(point: str) -> None:
            if point == name:
                raise error

        files.observers.append(observe)

    yield arrange
    files.observers.clear()


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize(("point", "expected"), [("write f", b"old"), ("rename f", b"old"), ("renamed f", b"new")])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "full")], ids=["stop", "full"])
def test_old_or_new_never_half(
    tmp_path: Path,
    stop_at: Callable[[str, BaseException], None],
    writer: Callable[[Path], None],
    point: str,
    expected: bytes,
    error: BaseException,
) -> None:
    path = tmp_path / "f"
    writer(path)
    new = path.read_bytes()
    path.write_bytes(b"old")
    stop_at(point, error)
    with pytest.raises(RunError if isinstance(error, OSError) else KeyboardInterrupt):
        writer(path)
    assert path.read_bytes() == (b"old" if expected == b"old" else new)
    assert os.listdir(tmp_path) == ["f"]


def test_synced_before_the_rename_and_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: list[str]) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        seen.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else f"sync {os.fstat(descriptor).st_size} bytes")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    files.write_bytes(tmp_path / "f", b"12345")
    assert seen == ["write f", "sync 5 bytes", "rename f", "renamed f", "sync folder"]
    seen.clear()
    with files.staged_directory(tmp_path / "d") as staging:
        (staging / "plain").write_bytes(b"123")
    assert seen == ["stage d", "sync 3 bytes", "sync folder", "aside d", "rename d", "renamed d", "sync folder"]


def test_errors_of_the_system_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match=r"cannot write .*missing/f: No such file or directory"):
        files.write_text(tmp_path / "missing" / "f", "x")
    with pytest.raises(RunError, match=r"cannot write .*file/f: Not a directory"):
        files.write_text(tmp_path / "file" / "f", "x")
    with pytest.raises(RunError, match=r"cannot write .*: it is a folder"):
        files.write_text(tmp_path, "x")
    with pytest.raises(RunError, match="cannot write /dev/null: it is not a regular file"):
        files.write_text("/dev/null", "x")
    assert Path("/dev/null").is_char_device()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_full_disk_in_the_words_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no space left on the disk of"), files.full_disk(tmp_path / "f"), open("/dev/full", "wb") as full:
        full.write(b"x")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, "no space left on the disk of"),
        (errno.EDQUOT, "your quota on the disk of"),
        (errno.EFBIG, r"a file is larger than allowed in .* \(ulimit -f, or the file system\); raise the limit"),
    ],
)
def test_full_disk_quota_and_file_are_told_apart(code: int, message: str, tmp_path: Path) -> None:
    for error in (OSError(code, "x"), Exception(f"Error while serializing: I/O error: x (os error {code})")):
        with pytest.raises(RunError, match=message), files.staged_directory(tmp_path / "d"):
            raise error
        with pytest.raises(RunError, match=message), files.naming_errors(tmp_path / "d"):
            raise error


def test_full_disk_is_that_of_the_folder_that_will_be_there(tmp_path: Path) -> None:
    with (
        pytest.raises(RunError, match=rf"on the disk of {tmp_path};"),
        files.staged_directory(tmp_path / "d") as staging,
        files.open_atomic(staging / "f"),
    ):
        raise OSError(errno.ENOSPC, "full")


def test_full_disk_in_the_words_of_a_library_in_rust(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no space left"), files.full_disk(tmp_path / "f"):
        raise Exception("Error while serializing: I/O error: No space left on device (os error 28)")
    with pytest.raises(ValueError, match="other"), files.full_disk(tmp_path / "f"):
        raise ValueError("other")


def test_stream_appears_at_the_end_or_not_at_all(tmp_path: Path) -> None:
    with files.open_atomic(tmp_path / "f") as handle:
        handle.write(b"one ")
        assert not (tmp_path / "f").exists()
        handle.write(b"two")
    assert (tmp_path / "f").read_bytes() == b"one two"
    with pytest.raises(TypeError), files.open_atomic(tmp_path / "g") as handle:
        handle.writelines([b"one", "not bytes"])  # type: ignore[list-item]
    assert os.listdir(tmp_path) == ["f"]


def test_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    (tmp_path / "link").symlink_to("f")
    files.write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "f").read_text() == "new"


def test_mode_follows_the_umask(tmp_path: Path) -> None:
    files.write_text(tmp_path / "ours", "x")
    (tmp_path / "theirs").write_text("x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode


def test_folder_is_replaced_whole(tmp_path: Path) -> None:
    for name in ("old", "new"):
        with files.staged_directory(tmp_path / "d") as staging:
            files.write_text(staging / name, name)
        assert os.listdir(tmp_path / "d") == [name]
    assert os.listdir(tmp_path) == ["d"]


@pytest.mark.parametrize(("point", "expected"), [("stage d", "old"), ("aside d", "old"), ("rename d", "old"), ("renamed d", "new")])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EDQUOT, "quota")], ids=["stop", "quota"])
def test_folder_is_old_or_new(
    tmp_path: Path, stop_at: Callable[[str, BaseException], None], point: str, expected: str, error: BaseException
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "old").touch()
    stop_at(point, error)
    with pytest.raises(RunError if isinstance(error, OSError) else KeyboardInterrupt), files.staged_directory(tmp_path / "d") as staging:
        (staging / "new").touch()
    assert os.listdir(tmp_path / "d") == [expected]
    assert os.listdir(tmp_path) == ["d"]


def test_digest_of_a_folder_is_that_of_names_and_bytes(tmp_path: Path) -> None:
    for name in "ac":
        (tmp_path / name / "b").mkdir(parents=True)
        (tmp_path / name / "b" / "f").write_text("x")
    assert files.digest(tmp_path / "a") == files.digest(tmp_path / "c")
    (tmp_path / "c" / "b" / "f").rename(tmp_path / "c" / "b" / "g")
    assert files.digest(tmp_path / "a") != files.digest(tmp_path / "c")


def test_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert files.digest(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.digest_files(tmp_path) == {"f": files.digest(tmp_path / "f")}


def test_tensors_come_back(tmp_path: Path) -> None:
    tied = torch.arange(6.0).reshape(2, 3)
    given_tensors = {"a": tied, "b": tied, "t": tied.T, "half": tied.half(), "step": torch.tensor(3), "none": torch.zeros(0)}
    files.write_tensors(tmp_path / "f.safetensors", given_tensors | {"row": tied[1]})
    found = files.read_tensors_checked(tmp_path / "f.safetensors")
    assert found.keys() == given_tensors.keys() | {"row"}
    for name, tensor in given_tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_truncated_tensors_are_an_error_at_every_length(tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    files.write_tensors(path, {"a": torch.ones(5)})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(files.DamagedFileError, match=r"f\.safetensors is damaged"):
            files.read_tensors_checked(path)
    path.unlink()
    with pytest.raises(files.DamagedFileError, match=r"f\.safetensors is damaged"):
        files.read_tensors_checked(path)


def test_parquet_comes_back(tmp_path: Path) -> None:
    scores = np.array([0.1, np.nan, -1e30], dtype=np.float32)
    files.write_parquet(tmp_path / "a.parquet", {"id": ["x", "y", "z"], "score": scores})
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.schema.types == [pa.string(), pa.float32()]
    np.testing.assert_array_equal(table["score"].to_numpy(), scores)
    files.write_parquet(tmp_path / "b.parquet", table)
    assert (tmp_path / "b.parquet").read_bytes() == (tmp_path / "a.parquet").read_bytes()


def test_json_is_sorted_readable_and_without_nan(tmp_path: Path) -> None:
    value = {"b": np.float32(0.5), "a": (np.int64(1), float("nan"), float("-inf"), True), "ö": np.array([[1.5, np.nan]]), "p": Path("x/y")}
    files.write_json(tmp_path / "f", value)
    text = (tmp_path / "f").read_text(encoding="utf-8")
    assert json.loads(text) == {"a": [1, None, None, True], "b": 0.5, "p": "x/y", "ö": [[1.5, None]]}
    assert text.index('"a"') < text.index('"b"') < text.index('"ö"')
    assert text.endswith("}\n")


def test_json_with_a_lone_surrogate_comes_back(tmp_path: Path) -> None:
    files.write_json(tmp_path / "f", {"text": "a\ud800b \U0001f600"})
    assert json.loads((tmp_path / "f").read_bytes()) == {"text": "a\ud800b \U0001f600"}


@pytest.mark.parametrize("value", [{1: "a"}, {"a": {"b"}}, [object()], {"a": b"bytes"}])
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        plain(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_canonical_json_is_json_and_plain_leaves_json_alone(value: Any) -> None:
    assert plain(value) == value
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_canonical_json_ignores_the_order_of_keys(value: dict[str, int]) -> None:
    assert hash_json(value) == hash_json(dict(reversed(value.items())))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"nul", b"\xff"])
def test_damaged_json(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(files.DamagedFileError, match="is damaged"):
        files.read_json_checked(tmp_path / "f")
