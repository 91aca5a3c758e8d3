"""The control socket's protocol without any I/O: bytes to messages and requests, and back.

Every message is one line of JSON with `v`. Who reads gets whole messages of this version or a
SocketError that says what is wrong; nobody passes a bare dictionary on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import orjson

from panelctl.errors import SocketError
from panelctl.model.command import Command, Verdict, command_from_plain, command_to_plain
from panelctl.model.record import VERSION, CycleRecord, HelloRecord

MOST_LINE = 4 << 20  # from a controller: a record of 128 circuits is a tenth of this
MOST_REQUEST = 4096  # to a controller
MOST_WHY = 200  # characters of an error
HELLO = f'{{"v":{VERSION},"hello"'.encode()
RECORD = f'{{"v":{VERSION},"seq"'.encode()
CALM = b'"events":[]'  # in a record without any


@dataclass(frozen=True, slots=True)
class Hello:
    """What the controller says first: about its panel, and what it started from."""

    facts: HelloRecord


@dataclass(frozen=True, slots=True)
class Cycle:
    """A CycleRecord."""

    record: CycleRecord


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a command."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Failure:
    """A line was out of shape, or what it asked for is not there."""

    why: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """The reader was slow: so many records were not handed to it."""

    records: int


@dataclass(frozen=True, slots=True)
class Status:
    """The newest record, once."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Every record from now on."""


Message = Hello | Cycle | Answer | Failure | Dropped
Request = Status | Watch | Command


class Lines:
    """Bytes as they come, cut into lines. Raises SocketError where a line has over `most` bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines that are whole now, without their ends."""
        self._rest += data
        while (end := self._rest.find(b"\n")) >= 0:
            line = bytes(self._rest[:end])
            del self._rest[: end + 1]
            yield line
        if len(self._rest) > self._most:
            self._rest.clear()
            raise SocketError(f"a line is at most {self._most} bytes")


def _encode(**content: object) -> bytes:
    return orjson.dumps({"v": VERSION, **content}, option=orjson.OPT_APPEND_NEWLINE)


def encode_record(record: CycleRecord) -> bytes:
    """A record as a line. Its `v` and `seq` stand first."""
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def encode(message: Message) -> bytes:
    """A message of the controller as a line."""
    match message:
        case Cycle(record):
            return encode_record(record)
        case Hello(facts):
            return _encode(hello=facts)
        case Answer(verdict):
            return _encode(answer=asdict(verdict))
        case Failure(why):
            return _encode(error=why[:MOST_WHY])
        case Dropped(records):
            return _encode(dropped=records)


def encode_request(request: Request) -> bytes:
    """A request to the controller as a line."""
    if isinstance(request, Status | Watch):
        return _encode(do=type(request).__name__.lower())
    return _encode(**command_to_plain(request))


def read_message(line: bytes) -> Message:
    """What a controller says in a line. Raises SocketError for what is not this protocol."""
    plain = _decode(line, "what listens there is not a panelctl controller")
    if plain.get("v") != VERSION:
        raise SocketError(
            f"the controller speaks {_version(plain)} of the protocol, this panelctl version "
            f"{VERSION}: restart whichever is older"
        )
    if "seq" in plain:
        return Cycle(as_record(plain))
    if "hello" in plain:
        return Hello(as_hello(plain["hello"]))
    answer = plain.get("answer")
    if isinstance(answer, dict) and isinstance(answer.get("id"), str):
        why = str(answer.get("why", ""))
        return Answer(Verdict(answer["id"], answer.get("accepted") is True, why))
    dropped = plain.get("dropped")
    if isinstance(dropped, int):
        return Dropped(dropped)
    if "error" in plain:
        return Failure(str(plain["error"]))
    raise SocketError("the controller says something that this panelctl does not know")


def read_request(line: bytes) -> Request:
    """What a reader asks of the controller in a line. Raises SocketError when out of shape."""
    if len(line) > MOST_REQUEST:
        raise SocketError(f"a line is at most {MOST_REQUEST} bytes")
    plain = _decode(line, "a message is a JSON object")
    if plain.get("v") != VERSION:
        raise SocketError(
            f"you speak {_version(plain)} of the protocol, this controller version {VERSION}"
        )
    do = plain.get("do")
    if do == "watch":
        return Watch()
    return Status() if do == "status" else command_from_plain(plain)


def _version(plain: Mapping[str, object]) -> str:
    version = plain.get("v")
    return f"version {version}" if isinstance(version, int) else "no version"


def _decode(line: bytes, otherwise: str) -> dict[str, Any]:
    try:
        plain = orjson.loads(line)
    except (ValueError, RecursionError) as error:
        raise SocketError(f"that is not JSON: {error}") from None
    if not isinstance(plain, dict):
        raise SocketError(otherwise)
    return plain


def as_record(plain: object) -> CycleRecord:
    """Decoded JSON as a record. Raises SocketError where one of its keys is missing.

    Keys that came after the first release of this version of the protocol are put in: what did not
    say them had nothing to say there.
    """
    if isinstance(plain, dict):
        plain = {"shadow": False, "orders": [], "faults": [], **plain}
    return cast(CycleRecord, _whole(plain, CycleRecord.__required_keys__, "record"))


def as_hello(plain: object) -> HelloRecord:
    """Decoded JSON as a hello. Raises SocketError where one of its keys is missing.

    As with records: a circuit that did not say so shared no space, and its board's coils
    were taken for its contacts.
    """
    hello = cast(HelloRecord, _whole(plain, HelloRecord.__required_keys__, "hello"))
    if not all(isinstance(circuit, dict) for circuit in hello["circuits"]):
        raise SocketError("a hello's circuits are JSON objects")
    for circuit in hello["circuits"]:
        circuit.setdefault("half", "")
        circuit.setdefault("shows_contact", True)
    return hello


def _whole(plain: object, keys: frozenset[str], what: str) -> Mapping[str, object]:
    if not isinstance(plain, dict):
        raise SocketError(f"a {what} is a JSON object")
    missing = keys - plain.keys()
    if missing:
        raise SocketError(f"a {what} without {', '.join(sorted(missing))}")
    return plain
