"""Commands: what a person or a service may ask of the controller. Judging them is core's work.

Each has `id`, chosen by the sender, which comes back with the answer. What there is to know of a
command stands once, in `COMMANDS`: the codec here, the verbs of the command line (cli/order.py),
the controller's judge (core/orders.py) and the page of the control socket are made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from panelctl.errors import SocketError
from panelctl.model.keys import (
    MAX_EXPIRY_S,
    MAX_ID,
    MAX_IMPORT_W,
    MAX_LIMIT_A,
    MAX_NUMBER,
    MAX_TIER,
    EnvelopeWindow,
    Flag,
    Key,
    Number,
    Text,
    Whole,
    Windows,
)
from panelctl.model.limit import Amount, Window


@dataclass(frozen=True, slots=True)
class OpenRelay:
    """Open a managed circuit on behalf of its user."""

    id: str
    circuit: str


@dataclass(frozen=True, slots=True)
class CloseRelay:
    """Take the user's own claim back. The relay closes when no other claim is left."""

    id: str
    circuit: str


@dataclass(frozen=True, slots=True)
class AckFault:
    """A person has looked at a managed circuit: its fault holds it open no longer."""

    id: str
    circuit: str


@dataclass(frozen=True, slots=True)
class RequestLimit:
    """Ask for a lower import limit (A per leg) until `expires_s` from now; None takes it back."""

    id: str
    limit_a: float | None
    expires_s: float


@dataclass(frozen=True, slots=True)
class SetTier:
    """Move a managed circuit to another tier, until the panel file says another one."""

    id: str
    circuit: str
    tier: int


@dataclass(frozen=True, slots=True)
class Envelope:
    """The dynamic operating envelope as it is known now; it replaces what was known before.

    Windows are in order and do not overlap. After the last one, and between them, the default of
    the panel file holds.
    """

    id: str
    source: str
    windows: tuple[EnvelopeWindow, ...]

    def from_now(self, now_ns: int) -> list[Window]:
        """The windows on the clock of the controller."""
        return [
            Window(
                now_ns + round(window.start_s * 1e9),
                now_ns + round(window.end_s * 1e9),
                Amount(window.limit_a, window.import_w),
            )
            for window in self.windows
        ]


@dataclass(frozen=True, slots=True)
class Grid:
    """Whether the panel is off the grid, and then the battery's state of charge in percent."""

    id: str
    islanded: bool
    soc: float | None


@dataclass(frozen=True, slots=True)
class Lease:
    """A share of a transformer: W of total import until `expires_s` from now.

    Whoever hands leases out numbers them; only one with a higher number than the last is taken.
    """

    id: str
    source: str
    number: int
    import_w: float
    expires_s: float


@dataclass(frozen=True, slots=True)
class LimitPower:
    """Let a modulated load draw at most so many watts until `expires_s` from now; None takes it
    back. It only ever lowers, and never below what the load needs to run.
    """

    id: str
    circuit: str
    limit_w: float | None
    expires_s: float


@dataclass(frozen=True, slots=True)
class AcceptDevice:
    """Take the device that answers now for the right one, though its serial number is another."""

    id: str
    device: str


Command = (
    OpenRelay
    | CloseRelay
    | AckFault
    | RequestLimit
    | SetTier
    | Envelope
    | Grid
    | Lease
    | LimitPower
    | AcceptDevice
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a command: `accepted`, or refused with a `why` for the person."""

    id: str
    accepted: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """All that there is to know of one command.

    `sample` shows it, and says what is made of it; `keys` are those of its message besides `v`,
    `do` and `id`. `verb` is what a person types, `example`
    what may follow it, `short` what `panelctl --help` says of it and
    `long` its own help; `means` is for programs. `done` is said when it was accepted (a format of
    the keys), `undone` when it took something back.
    """

    do: str
    sample: Command
    keys: Mapping[str, Key]
    means: str
    verb: str
    example: str
    short: str
    long: str
    done: str
    undone: str = ""


CIRCUIT = Text()
FOR_S = Number(1.0, MAX_EXPIRY_S, option="--for-s", help="How long, in s.", default=3600.0)
SOURCE = Text(option="--source", help="Who set it, for the record.", default="cli")

COMMANDS = (
    Entry(
        "open",
        OpenRelay("x1", "dryer"),
        {"circuit": CIRCUIT},
        means="claim a managed circuit open as its user",
        verb="relay open",
        example="dryer",
        short="Open a circuit as its user.",
        long="Open CIRCUIT until you close it.",
        done="{circuit} is ordered open; `panelctl status` shows its relay",
    ),
    Entry(
        "close",
        CloseRelay("x2", "dryer"),
        {"circuit": CIRCUIT},
        means="take back what a user may take back: USER and FOUND",
        verb="relay close",
        example="dryer",
        short="Take back your claim on a circuit.",
        long="Take back your claim on CIRCUIT.",
        done="{circuit}: your claim is taken back; it closes when there is room for it",
    ),
    Entry(
        "ack",
        AckFault("x10", "dryer"),
        {"circuit": CIRCUIT},
        means="a person has looked at a circuit's fault (FAULT): it holds it open no longer",
        verb="fault ack",
        example="dryer",
        short="Say that you have looked at a circuit's fault.",
        long="Say that you have looked at CIRCUIT's fault; it holds it open no longer.\n\n"
        "Faults that end by themselves need nobody; docs/reference/faults.md has all of them. "
        "What else holds the circuit open still does.",
        done="{circuit}: its fault is acknowledged; it closes when nothing else holds it open and "
        "there is room",
    ),
    Entry(
        "limit",
        RequestLimit("x3", 80, 3600),
        {
            "limit_a": Number(0.0, MAX_LIMIT_A, unit="amps", null=True),
            "expires_s": FOR_S.unless("limit_a"),
        },
        means="limit REQUESTED, A per leg; `limit_a` null takes it back",
        verb="limit",
        example="80 --for-s 3600",
        short="Ask for a lower import limit.",
        long="Ask for an import limit of LIMIT_A amps per leg, or take it back with `none`.",
        done="import is limited to {limit_a:g} A per leg for {expires_s:g} s",
        undone="the requested limit is taken back",
    ),
    Entry(
        "limit_power",
        LimitPower("x4", "compute", 6000, 3600),
        {
            "circuit": CIRCUIT,
            "limit_w": Number(0.0, MAX_IMPORT_W, unit="watts", null=True),
            "expires_s": FOR_S.unless("limit_w"),
        },
        means="a modulated circuit draws at most so many watts for a while; `limit_w` null takes "
        "it back",
        verb="limit-power",
        example="compute 6000 --for-s 3600",
        short="Let the node or a charger draw less for a while.",
        long="Let CIRCUIT draw at most LIMIT_W watts, or take that back with `none`.\n\n"
        "For the compute node, a charger and the like; it only ever lowers what the limits leave.",
        done="{circuit} draws at most {limit_w:g} W for {expires_s:g} s",
        undone="{circuit}: its power limit is taken back",
    ),
    Entry(
        "envelope",
        Envelope("x5", "utility", (EnvelopeWindow(0, 900, 80, 15000),)),
        {"source": SOURCE, "windows": Windows()},
        means="the dynamic operating envelope from now on, limit DOE: at most 48 windows in order, "
        "seconds from now, `limit_a` (A per leg), `import_w` (W in all) or both. Replaces the one "
        "before; an empty list takes it back",
        verb="envelope",
        example="tonight.json --source utility",
        short="Hand over a dynamic operating envelope.",
        long="Replace the envelope by the windows in FILE.\n\n"
        "FILE is a JSON list of windows in seconds from now, with limit_a (A per leg), import_w (W "
        'in all) or both: [{"start_s": 0, "end_s": 3600, "limit_a": 80}]. An empty one takes it '
        "all back.",
        done="an envelope of {windows} windows is in force",
        undone="the envelope is taken back",
    ),
    Entry(
        "lease",
        Lease("x6", "aggregator", 17, 9000, 300),
        {
            "import_w": Number(0.0, MAX_IMPORT_W, unit="watts"),
            "expires_s": Number(
                1.0, MAX_EXPIRY_S, option="--for-s", help="How long it holds, in s."
            ),
            "number": Whole(
                1,
                MAX_NUMBER,
                option="--number",
                help="Its number: only one that is higher than the last lease's is taken.",
            ),
            "source": SOURCE,
        },
        means="a share of a transformer: W of total import for a while, limit LEASE. Only a "
        "`number` higher than the last is taken; then, and after a restart, `lease_default_w` "
        "holds",
        verb="lease",
        example="9000 --for-s 300 --number 17",
        short="Hand over a share of a transformer.",
        long="Let the panel import IMPORT_W watts in all for a while; then its default holds "
        "again.",
        done="the import is leased up to {import_w:g} W for {expires_s:g} s",
    ),
    Entry(
        "grid",
        Grid("x7", True, 55),
        {
            "islanded": Flag(yes="off", no="on"),
            "soc": Number(
                0.0,
                100.0,
                null=True,
                option="--soc",
                help="The battery's state of charge, %.",
                needed=False,
            ),
        },
        means="the panel is off (or on) the grid, with the battery's state of charge in % or null",
        verb="grid",
        example="off --soc 48",
        short="Say whether the panel is on the grid.",
        long="Put the panel on the grid, or off it: then the inverter's limit holds, and a battery "
        "below 49 % sheds the circuits of the backup's shed tier and later until it has 51 %.",
        done="the panel is {islanded} the grid",
    ),
    Entry(
        "accept",
        AcceptDevice("x8", "mains"),
        {"device": Text()},
        means="the device that answers there now is the right one, though its serial number is "
        "another",
        verb="accept",
        example="mains",
        short="Take a meter or board that was replaced for the right one.",
        long="Take whatever answers as DEVICE now for the right one: a meter or board was replaced."
        "\n\nUntil then nothing is read from it or written to it, because its serial number is not "
        "the one that was known. `panelctl devices` shows both.",
        done="{device}: the device that answers now is taken",
    ),
    Entry(
        "tier",
        SetTier("x9", "dryer", 6),
        {"circuit": CIRCUIT, "tier": Whole(0, MAX_TIER)},
        means="another tier, until the panel file says another one than it does now",
        verb="tier",
        example="dryer 6",
        short="Move a circuit to another tier.",
        long="Move CIRCUIT to TIER, over restarts too, until the panel file gives it another one."
        "\n\nThe largest tier is shed first.",
        done="{circuit} now stands on tier {tier}",
    ),
)
ENTRIES = {entry.do: entry for entry in COMMANDS}
_BY_TYPE = {type(entry.sample): entry for entry in COMMANDS}
_ID = Text()


def entry_of(command: Command) -> Entry:
    """What the table says of a command."""
    return _BY_TYPE[type(command)]


def command_from_plain(message: Mapping[str, object]) -> Command:
    """The command in a decoded control-socket message. Raises SocketError when out of shape."""
    do = message.get("do")
    if not isinstance(do, str) or do not in ENTRIES:
        said = f" = {do[:MAX_ID]!r}" if isinstance(do, str) else ""
        raise SocketError(f"do{said}: must be one of {', '.join(sorted(ENTRIES))}")
    entry = ENTRIES[do]
    unknown = set(message) - entry.keys.keys() - {"do", "id", "v"}
    if unknown:
        raise SocketError(f"unknown key {sorted(unknown)[0][:MAX_ID]!r} in a {do} command")
    made: Any = type(entry.sample)  # of the table's keys, which are its fields
    values = {name: key.read(name, message) for name, key in entry.keys.items()}
    command: Command = made(id=_ID.read("id", message), **values)
    return command


def command_to_plain(command: Command) -> dict[str, object]:
    """The control-socket message of a command, ready for JSON."""
    return {"do": entry_of(command).do, **asdict(command)}
