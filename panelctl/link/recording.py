"""The recording's file format: the hello, then one CycleRecord a line; gzip where it ends in .gz.

A recording holds the panel file, what was read of the image and the commands, so that it replays.
One that does not begin with the controller's first cycle can hold, in its first line, the memory
that the controller had before it (control/replay.py): cases do (case/).
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from panelctl.errors import ConfigError, Problem, SocketError
from panelctl.link.protocol import as_hello, as_record
from panelctl.model.record import VERSION, CycleRecord, HelloRecord

FORMAT = "panelctl-recording"
MOST_HEADER = 4 << 20  # of bytes: a panel file of 128 circuits is a hundredth of this


@dataclass(frozen=True, slots=True)
class Recording:
    """What a file holds: the controller's hello, its records as they are read, and what memory it
    had before the first of them, where that is not its first cycle.
    """

    hello: HelloRecord
    records: Iterator[CycleRecord]
    memory: dict[str, Any] | None = None


def open_recording(path: Path) -> IO[bytes]:
    """A new recording to write lines into. Raises OSError; an existing file is never replaced."""
    if path.suffix == ".gz":
        return gzip.open(path, "xb", compresslevel=6)  # type: ignore[return-value]  # a GzipFile
    return path.open("xb")


def header(hello: HelloRecord, memory: dict[str, Any] | None = None) -> bytes:
    """The first line of a recording, with the memory that a part of one begins with."""
    part = {} if memory is None else {"memory": memory}
    return json.dumps({"format": FORMAT, "v": VERSION, "hello": hello, **part}).encode() + b"\n"


def line_of(record: CycleRecord) -> bytes:
    """The line of a record."""
    return orjson.dumps(record) + b"\n"


def read_recording(path: Path) -> Recording:
    """The hello and the records. A torn last line (a full disk) ends the recording.

    Raises ConfigError, also while the records are read, when the file is not a recording of this
    version.
    """
    lines = _lines(path)
    try:
        first = json.loads(next(lines, b""))
        if not isinstance(first, dict) or first.get("format") != FORMAT:
            raise ValueError("the first line is not a recording's header")
        if first.get("v") != VERSION:
            raise ValueError(f"it has version {first.get('v')}, this panelctl reads {VERSION}")
        memory = first.get("memory")
        if memory is not None and not isinstance(memory, dict):
            raise ValueError("the memory in its first line is no object")
        return Recording(as_hello(first.get("hello")), _records(path, lines), memory)
    except (ValueError, SocketError) as error:
        raise _wrong(path, error) from None


def _records(path: Path, lines: Iterator[bytes]) -> Iterator[CycleRecord]:
    for number, line in enumerate(lines, 2):
        try:
            plain = orjson.loads(line)
        except ValueError:
            return
        try:
            yield as_record(plain)
        except SocketError as error:
            raise _wrong(path, SocketError(f"line {number}: {error}")) from None


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            yield file.readline(MOST_HEADER)
            with suppress(EOFError):  # cut off while it was written
                yield from file
    except (OSError, EOFError, zlib.error) as error:
        raise _wrong(path, error) from None


def _wrong(path: Path, error: Exception) -> ConfigError:
    return ConfigError(str(path), [Problem("", "", f"is not a recording: {error}")])
