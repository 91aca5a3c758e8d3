"""The JSON Schema of what the controller says on its socket, made of the types in model.record."""

from __future__ import annotations

import sys
from typing import Any

from pydantic import TypeAdapter

from panelctl.model.record import CycleRecord, HelloRecord, VerdictRecord

if sys.version_info >= (3, 12):
    from typing import TypedDict
else:
    from typing_extensions import TypedDict  # pydantic makes no schema of an older one


class HelloMessage(TypedDict):
    """The first line that every reader gets."""

    v: int
    hello: HelloRecord


class AnswerMessage(TypedDict):
    """What became of a command."""

    v: int
    answer: VerdictRecord


class ErrorMessage(TypedDict):
    """A line was out of shape, or what it asked for is not there."""

    v: int
    error: str


class DroppedMessage(TypedDict):
    """The reader was slow, and lost so many records."""

    v: int
    dropped: int


MESSAGES: TypeAdapter[Any] = TypeAdapter(
    CycleRecord | HelloMessage | AnswerMessage | ErrorMessage | DroppedMessage
)


def record_schema() -> dict[str, Any]:
    """The JSON Schema of every message of the control socket; `CycleRecord` and `HelloRecord` are
    among its definitions.
    """
    return {"title": "Messages of the control socket", **MESSAGES.json_schema()}
