"""Does the disk cache keep code, and never get in the way?"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from funcgrad import config
from funcgrad.compile import cache
from funcgrad.errors import CacheWarning

POSIX = pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(config.CACHE_DIR, str(tmp_path / "cache"))
    monkeypatch.delenv(config.CACHE, raising=False)
    return tmp_path / "cache"


class Maker:
    """Counts its calls."""

    def __init__(self, payload: bytes = b"code") -> None:
        self.payload, self.calls = payload, 0

    def __call__(self) -> bytes:
        self.calls += 1
        return self.payload


def test_made_once(directory: Path) -> None:
    make = Maker()
    assert [cache.fetch("key", make) for _ in range(3)] == [b"code"] * 3
    assert make.calls == 1
    assert cache.fetch("another key", make) == b"code"
    assert make.calls == 2
    assert cache.info() == (directory, 2, 2 * (cache.HEADER.size + 4))


def test_the_key_names_the_machine_and_the_versions(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = Maker()
    cache.fetch("key", make)
    monkeypatch.setenv(config.CPU, "generic")
    cache.fetch("key", make)
    monkeypatch.setattr(cache, "FORMAT", cache.FORMAT + 1)
    cache.fetch("key", make)
    assert make.calls == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:10],
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: data[:-1] + b"X",
        lambda data: b"X" + data[1:],
        lambda data: bytes(len(data)),
    ],
)
def test_a_damaged_file_is_replaced(directory: Path, damage: Callable[[bytes], bytes]) -> None:
    make = Maker()
    cache.fetch("key", make)
    (path,) = directory.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert cache.fetch("key", make) == b"code"
    assert cache.fetch("key", make) == b"code"
    assert make.calls == 2
    assert list(directory.iterdir()) == [path]


def test_off(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(config.CACHE, "0")
    make = Maker()
    assert [cache.fetch("key", make), cache.fetch("key", make)] == [b"code"] * 2
    assert make.calls == 2
    assert not directory.exists()
    assert cache.info() == (None, 0, 0)
    cache.clear()


def test_clear(directory: Path) -> None:
    make = Maker()
    cache.fetch("key", make)
    (directory / "notes.txt").write_text("not ours")
    cache.clear()
    assert [path.name for path in directory.iterdir()] == ["notes.txt"]
    cache.fetch("key", make)
    assert make.calls == 2


def works_and_says_so_once(match: str) -> None:
    make = Maker()
    with pytest.warns(CacheWarning, match=match) as caught:
        assert cache.fetch("key", make) == b"code"
    assert len(caught) == 1
    assert config.CACHE_DIR in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cache.fetch("another key", make) == b"code"
    assert make.calls == 2


def test_a_directory_that_is_a_file(directory: Path) -> None:
    directory.write_text("")
    works_and_says_so_once("exists")


def test_a_directory_that_cannot_be_written(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cache.tempfile, "mkstemp", refuse)
    works_and_says_so_once("Permission denied")


def test_a_full_disk_leaves_no_litter(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.os, "replace", refuse)
    works_and_says_so_once("No space left")
    assert list(directory.iterdir()) == []


@POSIX
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_directory_that_others_may_write_to(directory: Path, mode: int) -> None:
    directory.mkdir()
    directory.chmod(mode)
    works_and_says_so_once("other users may write")
    assert list(directory.iterdir()) == []


@POSIX
def test_a_directory_of_someone_else(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = os.geteuid()
    monkeypatch.setattr(cache.os, "geteuid", lambda: owner + 1)
    works_and_says_so_once("another user")


@POSIX
@pytest.mark.parametrize("mode", [0o770, 0o777])
def test_a_directory_that_others_may_put_another_one_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    above = tmp_path / "above"
    above.mkdir()
    above.chmod(mode)
    monkeypatch.setenv(config.CACHE_DIR, str(above / "cache"))
    works_and_says_so_once(f"other users may put another one in its place, in {str(above)!r}")


@POSIX
def test_a_link_that_others_may_replace(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.fetch("key", Maker())
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    (open_to_all / "link").symlink_to(directory)
    open_to_all.chmod(0o777)
    monkeypatch.setenv(config.CACHE_DIR, str(open_to_all / "link"))
    works_and_says_so_once("other users may put another one in its place")


@POSIX
def test_in_a_sticky_folder_nobody_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o1777)
    monkeypatch.setenv(config.CACHE_DIR, str(tmp_path / "cache"))
    make = Maker()
    assert cache.fetch("key", make) == cache.fetch("key", make) == b"code"
    assert make.calls == 1


@POSIX
@pytest.mark.parametrize("how", ["link", "others write", "a pipe"])
def test_a_file_that_is_not_the_users_alone_is_not_read(directory: Path, tmp_path: Path, how: str) -> None:
    cache.fetch("key", Maker(b"theirs"))
    (path,) = directory.iterdir()
    if how == "link":
        (tmp_path / "elsewhere").write_bytes(path.read_bytes())
        path.unlink()
        path.symlink_to(tmp_path / "elsewhere")
    elif how == "others write":
        path.chmod(0o666)
    else:
        path.unlink()
        os.mkfifo(path)  # nobody waits for what comes out of it
    make = Maker(b"ours")
    assert cache.fetch("key", make) == b"ours"
    assert cache.fetch("key", make) == b"ours"
    assert make.calls == 1  # the file was replaced


@POSIX
def test_a_new_directory_is_private(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(config.CACHE_DIR, str(tmp_path / "new" / "newer" / "cache"))
    before = os.umask(0o002)
    try:
        cache.fetch("key", Maker())
    finally:
        os.umask(before)
    assert [(tmp_path / p).stat().st_mode & 0o777 for p in ("new", "new/newer", "new/newer/cache")] == [0o700] * 3
    monkeypatch.setenv(config.CACHE_DIR, str(directory))
    cache.fetch("key", Maker())
    assert directory.stat().st_mode & 0o777 == 0o700
    (path,) = directory.iterdir()
    assert path.stat().st_mode & 0o077 == 0


def test_what_was_not_used_for_longest_goes_first(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = cache.HEADER.size + 4
    monkeypatch.setattr(cache, "LIMIT", 4 * size)
    monkeypatch.setattr(cache, "CHECK_EVERY", 1)
    make = Maker()
    seen: set[Path] = set()
    order = []
    for k in range(4):
        cache.fetch(f"key {k}", make)
        (path,) = set(directory.iterdir()) - seen
        os.utime(path, (1000 + k, 1000 + k))
        seen.add(path)
        order.append(path)
    cache.fetch("key 0", make)  # used: now the newest
    cache.fetch("key 4", make)
    assert make.calls == 5
    left = set(directory.iterdir())
    assert order[0] in left
    assert order[3] in left
    assert order[1] not in left
    assert order[2] not in left


def test_whether_to_look_depends_on_the_file_not_on_the_process(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Path] = []
    monkeypatch.setattr(cache, "_trim", looks.append)
    monkeypatch.setattr(cache, "CHECK_EVERY", 4)
    for k in range(200):
        cache.fetch(f"key {k}", Maker())
    names = [path.stem for path in directory.iterdir()]
    assert len(looks) == sum(int(name[:8], 16) % 4 == 0 for name in names)
    assert 20 < len(looks) < 80


def test_processes_that_write_at_the_same_time(directory: Path) -> None:
    script = textwrap.dedent(
        """
        import sys
        from funcgrad.compile import cache

        cache.LIMIT, cache.CHECK_EVERY = 50_000, 1
        for k in range(60):
            own = k % 2 and sys.argv[1]
            payload = f"{k} {own}".encode() * 200
            assert cache.fetch(f"{k} {own}", lambda: payload) == payload
        """
    )
    command = [sys.executable, "-W", "error", "-c", script]
    running = [subprocess.Popen([*command, str(n)], stderr=subprocess.PIPE) for n in range(3)]
    assert [(process.communicate()[1], process.returncode) for process in running] == [(b"", 0)] * 3
    paths = list(directory.iterdir())
    assert paths
    assert {path.suffix for path in paths} == {cache.SUFFIX}
    assert cache.info().bytes <= 50_000
    assert all(cache._read(path) is not None for path in paths)


def test_litter_of_a_crashed_process_is_swept(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "CHECK_EVERY", 1)
    directory.mkdir(mode=0o700)
    litter = directory / "half.tmp"
    litter.write_bytes(b"half a file")
    os.utime(litter, (1000, 1000))
    cache.fetch("key", Maker())
    assert not litter.exists()


@pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="the rule is Linux's")
def test_the_default_directory_is_the_platforms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(config.CACHE_DIR, raising=False)
    monkeypatch.delenv(config.CACHE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.info().directory == tmp_path / "funcgrad"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.info().directory == tmp_path / ".cache" / "funcgrad"
