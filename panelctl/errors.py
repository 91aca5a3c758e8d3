"""The tree of errors that panelctl raises on purpose. What is not in it is a bug.

PanelctlError
├── ConfigError            a panel file, register map or home file is wrong (lists every problem)
├── FieldError             something on a Modbus link went wrong; the transaction has no value
│   ├── LinkDown           the port or socket is closed
│   ├── ReplyTimeout       nobody answered in time
│   ├── BadReply           an answer came, and it is not the answer to this question
│   ├── DeviceRefused      the device answered with a Modbus exception code
│   └── ReadOnly           a write was asked of a link that is only for reading
├── AlreadyRunning         another controller has this state directory, or writes to this panel
├── SocketError            the control socket: no controller there, or a message out of shape
├── ServiceError           a gateway service cannot do its work: a broker, a certificate, an address
└── CommandRefused         a command was understood and not carried out; `why` tells the person
"""

from __future__ import annotations

from dataclasses import dataclass


class PanelctlError(Exception):
    """Root of every error that panelctl raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file: where it is, what stands there, what to write instead."""

    path: str
    value: str
    remedy: str

    def __str__(self) -> str:
        found = f" = {self.value}" if self.value else ""
        return f"{self.path}{found}: {self.remedy}" if self.path else self.remedy


class ConfigError(PanelctlError):
    """A file is wrong. `problems` holds all that was found, not only the first."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems
        super().__init__(file, problems)

    def __str__(self) -> str:
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        count = len(self.problems)
        return f"{self.file}: {count} problem{'s' if count != 1 else ''}\n{lines}"


class FieldError(PanelctlError):
    """A transaction on a Modbus link gave no value."""


class LinkDown(FieldError):
    """The serial port or socket is not open."""


class ReplyTimeout(FieldError):
    """No reply to this question came before its deadline."""


class BadReply(FieldError):
    """A reply came that does not answer the question (unit, function, length or checksum)."""


class DeviceRefused(FieldError):
    """The device answered with a Modbus exception code (1 to 11). `pdu` is what it refused, where
    the link says so.
    """

    def __init__(self, code: int, pdu: bytes = b"") -> None:
        self.code = code
        self.pdu = pdu
        super().__init__(f"the device refused with exception code {code}")


class ReadOnly(FieldError):
    """A write was asked of a link that was opened for reading only."""


class SocketError(PanelctlError):
    """The control socket could not be reached, or a message on it is out of shape."""


class AlreadyRunning(PanelctlError):
    """Another controller has this state directory, or writes to a wire of this panel."""


class ServiceError(PanelctlError):
    """A gateway service cannot do its work: a certificate, a file or an address is wrong."""


class CommandRefused(PanelctlError):
    """A command was understood and refused. `why` is written for the person who sent it."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)
