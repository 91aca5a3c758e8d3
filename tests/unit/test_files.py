"""The writer of files that matter: whole or not at all, and never in the loop's way."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from panelctl import files
from panelctl.files import Writer, backup_of, put


def test_flushed_before_it_is_named_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a power cut leaves is one or the other, whole."""
    calls: list[str] = []
    fsync = os.fsync

    def noted(number: int) -> None:
        calls.append(Path(os.readlink(f"/proc/self/fd/{number}")).name)
        fsync(number)

    replace = Path.replace

    def renamed(self: Path, target: Path) -> Path:
        calls.append(f"to {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Path, "replace", renamed)
    put(tmp_path / "a", b"1", backup=True)
    put(tmp_path / "a", b"2", backup=True)
    assert calls[:3] == [".a.new", "to a", tmp_path.name]
    assert calls[3:] == [".a.new", "to a.bak", "to a", tmp_path.name]
    assert (tmp_path / "a").read_bytes() == b"2"
    assert backup_of(tmp_path / "a").read_bytes() == b"1"


def test_where_there_are_no_hard_links_the_file_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A FAT card has none, and of another user's file the kernel makes none."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    put(tmp_path / "a", b"1", backup=True)
    put(tmp_path / "a", b"2", backup=True)
    assert (tmp_path / "a").read_bytes() == b"2"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_disk_that_takes_nothing_leaves_the_old_file(tmp_path: Path) -> None:
    put(tmp_path / "a", b"1")
    (tmp_path / ".a.new").mkdir()
    with pytest.raises(OSError, match="a"):
        put(tmp_path / "a", b"2")
    assert (tmp_path / "a").read_bytes() == b"1"


def test_the_newest_content_is_written_last_and_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that takes its time over the first one: those between are left out."""
    begun, go = threading.Event(), threading.Event()
    written: list[bytes] = []

    def slow(path: Path, data: bytes, mode: int, backup: bool, flush: bool) -> None:
        begun.set()
        assert go.wait(30)
        written.append(data)

    monkeypatch.setattr(files, "put", slow)
    writer, done = Writer(), list[bool]()
    writer.put(tmp_path / "a", b"0", done.append)
    assert begun.wait(30)
    for n in range(1, 5):
        writer.put(tmp_path / "a", bytes([n]), done.append)
    assert writer.busy
    assert not writer.finish(0.01)
    go.set()
    assert writer.finish(30)
    assert not writer.busy
    assert written == [b"0", b"\x04"]
    assert done == [True, True]


def test_a_writer_tells_of_a_disk_that_is_full(tmp_path: Path) -> None:
    writer, done = Writer(), list[bool]()
    writer.put(tmp_path / "gone" / "a", b"0", done.append)
    assert writer.finish(30)
    assert done == [False]
