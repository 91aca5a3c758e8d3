"""The recording's file format: the hello, then one CycleRecord a line; gzip where it ends in .gz.

A recording holds the panel file, the latched images and the commands, so that it replays.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import orjson

from panelctl.errors import ConfigError, Problem
from panelctl.model.record import VERSION

FORMAT = "panelctl-recording"


def open_recording(path: Path) -> IO[bytes]:
    """A new recording to write lines into. Raises OSError; an existing file is never replaced."""
    if path.suffix == ".gz":
        return gzip.open(path, "xb", compresslevel=6)  # type: ignore[return-value]  # a GzipFile
    return path.open("xb")


def header(hello: dict[str, Any]) -> bytes:
    """The first line of a recording."""
    return json.dumps({"format": FORMAT, "v": VERSION, "hello": hello}).encode() + b"\n"


def read_recording(path: Path) -> Iterator[dict[str, Any]]:
    """The header and then every record. A torn last line (a full disk) ends the recording.

    Raises ConfigError when the file is not a recording of this version.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            first = json.loads(file.readline(1_000_000))
            if not isinstance(first, dict) or first.get("format") != FORMAT:
                raise ValueError("the first line is not a recording's header")
            if first.get("v") != VERSION:
                raise ValueError(f"it has version {first.get('v')}, this panelctl reads {VERSION}")
            yield first
            for line in file:
                try:
                    yield orjson.loads(line)
                except ValueError:
                    return
    except (OSError, EOFError, ValueError) as error:
        raise ConfigError(str(path), [Problem("", "", f"is not a recording: {error}")]) from None
