"""Do pytrees survive in files, bit for bit, and is nothing overwritten or loaded by mistake?"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

import funcgrad as fg
from funcgrad import dtypes
from funcgrad.training import CheckpointError, checkpoint_metadata, load_checkpoint, save_checkpoint


class State(NamedTuple):
    count: Any
    mu: Any


def tree_of_everything() -> Any:
    rng = np.random.default_rng(0)
    arrays = {dtype.name: (rng.normal(size=(2, 3)) * 9).astype(dtype) for dtype in dtypes.ALL - dtypes.COMPLEX}
    arrays |= {dtype.name: (rng.normal(size=(2, 3)) + 1j).astype(dtype) for dtype in dtypes.COMPLEX}
    shapes = {
        "0-d": np.array(3.5),
        "0-d complex": np.array(1 + 2j),
        "empty": np.zeros((2, 0, 3), np.float32),
        "empty complex": np.zeros((0,), np.complex64),
        "scalar": np.float32(2.5),
        "strided": np.arange(12.0).reshape(3, 4)[::2, ::-1],
        "fortran": np.asfortranarray(rng.normal(size=(3, 4))),
        "big-endian": np.arange(3, dtype=">i4"),
        "bfloat16": np.array(1.5, ml_dtypes.bfloat16),
        "nan": np.array([np.nan, np.inf, -0.0], np.float16),
    }
    numbers = [True, False, 3, -(2**80), 0.1, float("nan"), float("inf"), -0.0, 1 + 2j]
    return {"arrays": arrays, "shapes": shapes, "numbers": numbers, "state": State(7, [np.ones(2), None]), 3: ()}


def same(one: Any, other: Any) -> None:
    assert fg.tree.structure(one) == fg.tree.structure(other)
    for x, y in zip(fg.tree.leaves(one), fg.tree.leaves(other), strict=True):
        if isinstance(x, (np.ndarray, np.generic)):
            assert isinstance(y, fg.Array)
            assert x.dtype.newbyteorder("=") == y.dtype
            assert x.shape == y.shape
            assert y.flags.owndata or y.base is not None
            assert x.astype(y.dtype).tobytes() == y.tobytes()
        else:
            assert type(x) is type(y)
            assert repr(x) == repr(y)


def test_everything_comes_back(tmp_path: Path) -> None:
    tree = tree_of_everything()
    path = tmp_path / "run.safetensors"
    save_checkpoint(path, tree, metadata={"commit": "1f2e", "note": "größer"})
    same(tree, load_checkpoint(path, tree))
    assert checkpoint_metadata(str(path)) == {"commit": "1f2e", "note": "größer"}
    assert os.listdir(tmp_path) == ["run.safetensors"]
    loaded = load_checkpoint(path, tree)
    loaded["shapes"]["0-d"][...] = 0  # the caller's own, writable
    same(tree, load_checkpoint(path, tree))


@pytest.mark.parametrize("tree", [np.arange(3.0), 5, {}, None, [], [np.zeros(0)]])
def test_small_trees(tree: Any, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a", tree)
    same(tree, load_checkpoint(tmp_path / "a", tree))


def test_other_programs_can_read_the_arrays(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a", {"w": [np.arange(3.0)], "z": np.array([1 + 2j])})
    arrays = safetensors.numpy.load_file(tmp_path / "a")
    np.testing.assert_array_equal(arrays["['w'][0]"], [0, 1, 2])
    np.testing.assert_array_equal(arrays["['z']"], [[1, 2]])


def test_descriptions_instead_of_arrays(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a", {"w": np.ones((2, 3), np.float32), "n": 3})
    like = {"w": fg.ShapeDtypeStruct((2, 3), np.float32), "n": 0}
    same({"w": np.ones((2, 3), np.float32), "n": 3}, load_checkpoint(tmp_path / "a", like))


WRONG: dict[str, tuple[Any, str]] = {
    "missing": ({"b": np.zeros(2), "n": 1, "v": 1.0, "w": [np.zeros(3)]}, r"there is no \['v'\], which `like` has;"),
    "further": ({"b": np.zeros(2), "n": 1}, r"there is \['w'\]\[0\], which `like` has not;"),
    "first": ({"n": 1, "w": [np.zeros(3)]}, r"there is \['b'\], which `like` has not;"),
    "dtype": ({"b": np.zeros(2), "n": 1, "w": [np.zeros(3, "f4")]}, r"\['w'\]\[0\] is f64\[3\], `like` has f32\[3\];"),
    "shape": ({"b": np.zeros((2, 1)), "n": 1, "w": [np.zeros(3)]}, r"\['b'\] is f64\[2\], `like` has f64\[2,1\];"),
    "number": ({"b": np.zeros(2), "n": 1.0, "w": [np.zeros(3)]}, r"\['n'\] is a Python int, `like` has a Python float"),
    "no number": ({"b": np.zeros(2), "n": np.int64(1), "w": [np.zeros(3)]}, r"\['n'\] is a Python int, `like` has i64"),
    "a leaf": (np.zeros(3), "there is no single leaf, which `like` has"),
    "nothing": ({}, r"there is \['b'\], which `like` has not"),
}


@pytest.mark.parametrize("name", WRONG)
def test_another_tree_is_refused(name: str, tmp_path: Path) -> None:
    like, message = WRONG[name]
    path = tmp_path / "a"
    save_checkpoint(path, {"b": np.zeros(2), "n": 1, "w": [np.zeros(3)]})
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=rf"(?s)checkpoint .*/a: {message}.*nothing was loaded.*test_checkpoints"):
        load_checkpoint(path, like)
    assert path.read_bytes() == before
    assert fg.tree.all(fg.tree.map(lambda x: not np.any(x) or x == 1, like))  # `like` is as it was


def test_the_kinds_of_keys_count(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a", State(1, np.zeros(2)))
    for like in ({"count": 1, "mu": np.zeros(2)}, [1, np.zeros(2)]):
        with pytest.raises(CheckpointError, match=r"there is no \[.*\], which `like` has"):
            load_checkpoint(tmp_path / "a", like)
    save_checkpoint(tmp_path / "a", {1: 2.0, 2: 3.0})
    with pytest.raises(CheckpointError, match=r"there is no \['1'\]"):
        load_checkpoint(tmp_path / "a", {"1": 2.0, "2": 3.0})


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    tree = {"w": np.arange(4.0), "n": 3}
    path = tmp_path / "a"
    save_checkpoint(path, tree)
    whole = path.read_bytes()
    for count in range(len(whole)):
        path.write_bytes(whole[:count])
        with pytest.raises(CheckpointError, match="a: no checkpoint, or a truncated one"):
            load_checkpoint(path, tree)
        with pytest.raises(CheckpointError, match="a: no checkpoint, or a truncated one"):
            checkpoint_metadata(path)
        assert path.read_bytes() == whole[:count]
    path.write_bytes(whole + b"\0")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_checkpoint(path, tree)


def test_every_flipped_bit_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    tree = {"w": np.arange(3.0), "b": np.array([1.5], ml_dtypes.bfloat16), "n": 3}
    path = tmp_path / "a"
    save_checkpoint(path, tree, metadata={"run": "7"})
    whole = path.read_bytes()
    loaded = 0
    for place in range(len(whole)):
        for bit in range(place % 3, 8, 3):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            try:
                same(tree, load_checkpoint(path, tree))
                assert checkpoint_metadata(path) == {"run": "7"}
                loaded += 1
            except CheckpointError:
                pass
    assert loaded < 8 * len("crc32")  # of the entry that files did not always have


DAMAGED = {
    "an array": (b"\x00\x00\x00@", r"a: damaged: \['w'\] is not what"),
    "a number": (b'\\"7', "a: damaged: its list"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_told_by_its_leaf(name: str, tmp_path: Path) -> None:
    where, message = DAMAGED[name]
    tree, path = {"v": np.ones(2), "w": np.arange(3.0), "n": 7}, tmp_path / "a"
    save_checkpoint(path, tree)
    whole = path.read_bytes()
    assert whole.count(where) == 1
    damaged = whole.replace(where, where[:-1] + bytes([where[-1] ^ 1]))
    path.write_bytes(damaged)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path, tree)
    assert path.read_bytes() == damaged


def test_numbers_alone_have_a_checksum_too(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a", {"n": 7})
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes().replace(b'\\"7', b'\\"6'))
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(tmp_path / "a", {"n": 7})


def test_files_without_checksums_still_load(tmp_path: Path) -> None:
    header = {"version": 1, "leaves": [["['n']", "int", "5"], ["['w']", "array", "f64[3]"]]}
    texts = {"funcgrad": json.dumps(header), "run": "7"}
    safetensors.numpy.save_file({"['w']": np.arange(3.0)}, tmp_path / "a", texts)
    same({"n": 5, "w": np.arange(3.0)}, load_checkpoint(tmp_path / "a", {"n": 0, "w": np.zeros(3)}))
    assert checkpoint_metadata(tmp_path / "a") == {"run": "7"}


def headers() -> dict[str, dict[str, str] | None]:
    leaf = ["['w']", "array", "f64[3]"]
    return {
        "none": None,
        "foreign": {"format": "pt"},
        "no JSON": {"funcgrad": "x"},
        "no leaves": {"funcgrad": json.dumps({"version": 1})},
        "later": {"funcgrad": json.dumps({"version": 2, "leaves": [leaf]})},
        "kind": {"funcgrad": json.dumps({"version": 1, "leaves": [["['w']", "object", ""]]})},
        "a list": {"funcgrad": "[]"},
    }


@pytest.mark.parametrize("name", headers())
def test_files_of_others_are_refused(name: str, tmp_path: Path) -> None:
    safetensors.numpy.save_file({"['w']": np.zeros(3)}, tmp_path / "a", headers()[name])
    with pytest.raises(CheckpointError, match="written neither by save_checkpoint nor by this version of it"):
        load_checkpoint(tmp_path / "a", {"w": np.zeros(3)})


@pytest.mark.parametrize("arrays", [{"['w']": np.zeros(4)}, {"['w']": np.zeros(3, np.float32)}, {"x": np.zeros(3)}])
def test_a_header_that_lies(arrays: Any, tmp_path: Path) -> None:
    header = {"version": 1, "leaves": [["['w']", "array", "f64[3]"]]}
    safetensors.numpy.save_file(arrays, tmp_path / "a", {"funcgrad": json.dumps(header)})
    with pytest.raises(CheckpointError, match=r"its header does not fit its arrays|no checkpoint"):
        load_checkpoint(tmp_path / "a", {"w": np.zeros(3)})


def test_missing_files_and_folders(tmp_path: Path) -> None:
    for load in (lambda path: load_checkpoint(path, {}), checkpoint_metadata):
        with pytest.raises(FileNotFoundError):
            load(tmp_path / "nothing")
        with pytest.raises(IsADirectoryError):
            load(tmp_path)
    with pytest.raises(OSError, match="No such file"):
        save_checkpoint(tmp_path / "no folder" / "a", {"w": np.zeros(3)})


BAD_TREES: dict[str, tuple[Any, type[Exception], str]] = {
    "text": ({"name": "resnet"}, TypeError, r"at \['name'\]: 'resnet' of type str .*Texts belong into metadata"),
    "objects": ({"w": np.array([None])}, TypeError, r"at \['w'\]: .*object"),
    "a top": ("x", TypeError, "at the top: "),
}


@pytest.mark.parametrize("name", BAD_TREES)
def test_what_cannot_be_saved_overwrites_nothing(name: str, tmp_path: Path) -> None:
    tree, error, message = BAD_TREES[name]
    path = tmp_path / "a"
    save_checkpoint(path, {"w": np.ones(2)})
    before = path.read_bytes()
    with pytest.raises(error, match=message):
        save_checkpoint(path, tree)
    for metadata in ({"funcgrad": "x"}, {"epoch": 3}, {3: "x"}):
        with pytest.raises(TypeError, match="metadata are texts by name"):
            save_checkpoint(path, {"w": np.zeros(2)}, metadata=metadata)  # type: ignore[arg-type]
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a"]


def broken_save(arrays: Any, path: str, texts: Any) -> None:
    Path(path).write_bytes(b"half")
    raise OSError("No space left on device")


def refused_save(arrays: Any, path: str, texts: Any) -> None:
    raise safetensors.SafetensorError("Error while serializing: I/O error: No space left on device")


def broken_sync(descriptor: int) -> None:
    raise OSError("Input/output error")


@pytest.mark.parametrize(
    ("module", "name", "broken"),
    [
        (safetensors.numpy, "save_file", broken_save),
        (safetensors.numpy, "save_file", refused_save),
        (os, "fsync", broken_sync),
        (os, "replace", broken_sync),
    ],
)
def test_a_failure_at_any_moment_leaves_the_old_file(
    module: Any, name: str, broken: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    save_checkpoint(path, {"w": np.ones(2)})
    with monkeypatch.context() as patched:
        if module is os and name == "replace":
            patched.setattr(os, "replace", lambda a, b: broken(0))
        else:
            patched.setattr(module, name, broken)
        with pytest.raises(OSError, match=r"No space|Input/output"):
            save_checkpoint(path, {"w": np.zeros(2)})
    assert os.listdir(tmp_path) == ["a"]
    same({"w": np.ones(2)}, load_checkpoint(path, {"w": np.ones(2)}))


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path, limits = tmp_path / "a", resource.getrlimit(resource.RLIMIT_FSIZE)
    save_checkpoint(path, {"w": np.ones(2)})
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))
    try:
        with pytest.raises(OSError, match=r"cannot be written|too large"):
            save_checkpoint(path, {"w": np.zeros(1 << 16)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == ["a"]
    same({"w": np.ones(2)}, load_checkpoint(path, {"w": np.ones(2)}))


def test_a_folder_that_may_not_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder" / "a"
    path.parent.mkdir()
    save_checkpoint(path, {"w": np.ones(2)})
    path.parent.chmod(0o500)
    try:
        if os.access(path.parent, os.W_OK):  # an administrator may write all the same
            monkeypatch.setattr("builtins.open", refused_open)
        with pytest.raises(PermissionError, match="Permission denied"):
            save_checkpoint(path, {"w": np.zeros(2)})
    finally:
        monkeypatch.undo()
        path.parent.chmod(0o700)
    assert os.listdir(path.parent) == ["a"]
    same({"w": np.ones(2)}, load_checkpoint(path, {"w": np.ones(2)}))


def refused_open(path: str, mode: str) -> None:
    raise PermissionError(errno.EACCES, "Permission denied", path)


def test_the_mode_of_new_files(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    save_checkpoint(tmp_path / "a", {"w": np.ones(2)})
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_in_the_way_and_a_link(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        save_checkpoint(tmp_path / "folder", {"w": np.ones(2)})
    save_checkpoint(tmp_path / "a", {"w": np.ones(2)})
    (tmp_path / "latest").symlink_to(tmp_path / "a")
    save_checkpoint(tmp_path / "latest", {"w": np.zeros(2)})
    assert (tmp_path / "latest").is_symlink()
    same({"w": np.zeros(2)}, load_checkpoint(tmp_path / "a", {"w": np.ones(2)}))
    assert sorted(os.listdir(tmp_path)) == ["a", "folder", "latest"]


def test_tracers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"holds arrays and numbers, but at \['w'\]"):
        fg.jit(lambda w: save_checkpoint(tmp_path / "a", {"w": w}))(np.ones(2))
    assert not os.listdir(tmp_path)
