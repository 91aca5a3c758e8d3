"""The register map's shape: which keys its TOML file may have, their types, ranges and meaning
(pydantic), and what the keys of one table mean together.

The reader (mapread.py), the JSON Schema (mapschema.py) and the reference page are made from it, so
that they cannot differ. What only the whole map shows is the reader's. Imported only where a file
is read: the running controller never loads it.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from panelctl.modbus.maps import MAX_REGISTERS

Bank = Literal["holding", "input", "coil", "discrete"]
Order = Literal["high_first", "low_first"]
Kind = Literal[
    "meter", "branch_meter", "relay", "evse", "heater", "inverter", "battery", "nameplate", "node"
]
MOST_DIGITS, MOST_EXPONENT = 64, 64  # of a scale: 1e9999999 would take seconds to write out
Word = Annotated[int, Field(ge=0, le=65_535)]
Whole = Annotated[int, Field(ge=0)]
Wait = Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)]
Patience = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Rating = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


def _exact(given: object) -> Fraction:
    """A number in TOML is already rounded when it is read: only a text is exact."""
    try:
        if isinstance(given, str):
            number = Decimal(given[: MOST_DIGITS + 1])
            if len(given) <= MOST_DIGITS and abs(number.adjusted()) <= MOST_EXPONENT:
                return Fraction(number)
    except (InvalidOperation, ValueError, OverflowError):
        pass
    raise ValueError('must be a decimal number as a text, such as "0.1"')


def _not_zero(scale: Fraction) -> Fraction:
    if scale == 0:
        raise ValueError("must not be 0")
    return scale


def _numbered(name: str) -> str:
    if "{n}" not in name:
        raise ValueError("must hold {n}, the number of the channel")
    return name


Exact = Annotated[
    Fraction,
    PlainValidator(_exact),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": r"^-?[0-9.]+([eE]-?[0-9]+)?$"}),
]
# Keys that several tables have.
Address = Annotated[Word, Field(description="wire address, from 0")]
OwnBank = Annotated[
    Bank | None, Field(description="table that it stands in; the default is that of [read]")
]
OwnOrder = Annotated[Order | None, Field(description="the default is that of [read]")]
Form = Annotated[
    Literal["i16", "u16", "i32", "u32", "f32", "i64", "u64", "f64", "bit", "text"],
    Field(description="how it is written down"),
]
Scale = Annotated[
    Exact,
    AfterValidator(_not_zero),
    Field(description="what one of the raw number is in `unit`; below 0 turns the sign"),
]
Firmware = Annotated[str, Field(description="first firmware that has it")]
SetIn = Annotated[Word | None, Field(description="holding register that it is set in")]
Function = Annotated[
    Literal[6, 16],
    Field(description="function code of the write: 6 for one register, 16 for several"),
]


class Strict(BaseModel):
    """An unknown key is an error, and nothing is made of a value of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class PointTable(Strict):
    """One value."""

    address: Address
    table: OwnBank = None
    type: Form
    registers: int | None = Field(
        default=None,
        ge=1,
        le=64,
        validate_default=True,
        description="how many registers a text takes",
    )
    scale: Scale = Fraction(1)
    offset: Exact = Field(default=Fraction(0), description="added after scaling, in `unit`")
    scale_point: str | None = Field(
        default=None, description="point that holds the power of ten, in the place of `scale`"
    )
    unit: str = Field(
        default="", description="unit of the scaled value: A, V, W, Wh, VA, var, Hz, °C, s, %"
    )
    word_order: OwnOrder = None
    invalid: list[Whole] = Field(
        default=[], description="raw patterns that mean that there is no value"
    )
    invalid_high: Word | None = Field(
        default=None, description="value of the highest register that means that there is no value"
    )
    min_firmware: Firmware = ""
    note: str = Field(default="", description="for people: what the numbers mean")

    @field_validator("registers")
    @classmethod
    def _of_a_text(cls, registers: int | None, others: ValidationInfo) -> int | None:
        form = others.data.get("type")
        if form is not None and (form == "text") != (registers is not None):
            raise ValueError("a text needs it, and nothing else takes it")
        return registers


class ChannelPointTable(PointTable):
    """One value of every channel."""

    stride: Word = Field(
        default=0, description="registers from one channel to the next in its group"
    )


class SerialTable(Strict):
    """The serial line as delivered."""

    baud: int | None = Field(default=None, ge=300, le=1_000_000, description="baud rate")
    parity: Literal["N", "E", "O"] | None = Field(default=None, description="parity")
    stop: int | None = Field(default=None, ge=1, le=2, description="stop bits")
    unit: int | None = Field(default=None, ge=1, le=255, description="unit id")


class ReadTable(Strict):
    """How the device is read."""

    table: Bank = Field(description="table that its points stand in")
    max_registers: int = Field(ge=1, le=2000, description="most registers (or bits) of one read")
    word_order: Order = Field(default="high_first", description="of values longer than a register")
    align: int = Field(
        default=1, ge=1, le=4, description="reads start and count in multiples of it"
    )
    isolated: list[Whole] = Field(default=[], description="registers that are only ever read alone")
    barriers: list[Whole] = Field(default=[], description="addresses that no read may reach across")
    reads_gaps: bool = Field(
        default=False, description="whether registers that nobody names may be part of a read"
    )
    timeout_ms: int = Field(ge=1, le=60_000, description="its own time to answer, ms")
    turnround_ms: Wait = Field(default=10.0, description="what it usually takes to answer, ms")
    late_ms: int = Field(
        default=1000, ge=0, le=60_000, description="how late a reply may still come, ms"
    )
    gap_ms: Wait = Field(default=0.0, description="pause it needs after an answer, ms")
    renews_ms: int = Field(
        default=0, ge=0, le=60_000, description="how often its values are new, ms; 0: nobody says"
    )

    @field_validator("max_registers")
    @classmethod
    def _at_once(cls, count: int, others: ValidationInfo) -> int:
        most = MAX_REGISTERS.get(others.data.get("table", ""), count)
        if count > most:
            raise ValueError(f"Modbus reads at most {most} of this table at once")
        return count


class MarkTable(Strict):
    """A register that tells what the device is."""

    address: Address
    table: OwnBank = None
    values: list[Whole] = Field(default=[], description="what the register holds on such a device")
    text: str = Field(default="", description="what the registers hold on such a device, as text")
    alone: bool = Field(default=True, description="read it by itself")


class ChannelsTable(Strict):
    """A rule by which values repeat."""

    count: int = Field(ge=1, le=128, description="how many")
    first: int = Field(default=1, ge=1, le=128, description="number of the first one")
    group: int = Field(default=1, ge=1, le=128, description="channels in a group")
    group_stride: Word = Field(default=0, description="registers from one group to the next")
    point: dict[Annotated[str, AfterValidator(_numbered)], ChannelPointTable] = Field(
        description="values of one channel; {n} in the name is its number"
    )


class RelayTable(Strict):
    """The outputs of a relay board."""

    outputs: int = Field(ge=1, le=64, description="how many")
    coil: Word = Field(description="coil (or command register) of output 1")
    state: Word = Field(description="where output 1 is read back, in the table of [read]")
    shows: Literal["contact", "coil"] = Field(
        default="coil",
        description="what is read back: where the contact is, or only what it was told",
    )
    close: Word | None = Field(
        default=None, description="word that closes, where outputs are commanded by register"
    )
    open: Word | None = Field(
        default=None, description="word that opens, where outputs are commanded by register"
    )
    min_firmware: Firmware = ""

    @model_validator(mode="after")
    def _both_words(self) -> Self:
        if (self.close is None) != (self.open is None):
            raise ValueError("`close` and `open` go together")
        return self


class SetpointTable(Strict):
    """Where a load is told what it may draw."""

    address: Address
    type: Literal["i16", "u16", "i32", "u32", "f32", "i64", "u64", "f64"] = Field(
        description="how it is written down"
    )
    scale: Scale = Fraction(1)
    unit: Literal["A", "W"] = Field(description="A per leg, or W")
    word_order: OwnOrder = None
    least: Rating = Field(description="least it runs at, in `unit`")
    most: Rating = Field(description="most it takes, in `unit`")
    function: Function = 16
    persistence: Literal["volatile", "eeprom"] = Field(
        description="eeprom wears out: refused for control"
    )
    lease_ms: bool = Field(default=False, description="whether lease, request and number follow it")
    readback: str | None = Field(
        default=None, description="point that shows what it was told, in the same `unit`"
    )

    @field_validator("function")
    @classmethod
    def _all_of_it(cls, function: int, others: ValidationInfo) -> int:
        one = others.data.get("type") in (None, "i16", "u16")
        if function == 6 and not one:
            raise ValueError("writes one register, and this value has more: use 16")
        return function

    @field_validator("most")
    @classmethod
    def _above_least(cls, most: float, others: ValidationInfo) -> float:
        if most < others.data.get("least", 0.0):
            raise ValueError("is below `least`")
        return most


class PauseTable(Strict):
    """What of its own a load is stopped and started by."""

    address: Address
    table: Literal["holding", "coil"] = Field(default="holding", description="where it stands")
    stop: Word = Field(description="word that stops it")
    run: Word = Field(description="word that lets it run")
    function: Function = 16


class PatienceTable(Strict):
    """How long a device waits for somebody to speak to it."""

    fixed: Patience | None = Field(default=None, description="s, when it cannot be set")
    address: SetIn = None
    default: Patience | None = Field(default=None, description="s, as delivered")

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.fixed is None and self.default is None:
            raise ValueError("needs `fixed`, or `address` and `default`")
        return self


class SafeStateTable(Strict):
    """What its outputs go to."""

    address: SetIn = None
    default: int = Field(default=0, ge=0, le=1, description="as delivered: 0 open, 1 closed")


class BehaviourTable(Strict):
    """Whether its outputs go there."""

    address: Word | None = Field(default=None, description="holding register of output 1")
    default: Word = Field(default=1, description="as delivered")
    keep: Word | None = Field(default=None, description="value that keeps")
    go_safe: Word | None = Field(default=None, description="value that goes to the safe state")


class FailSafeTable(Strict):
    """What the device does by itself."""

    timeout_s: PatienceTable = Field(description="its patience")
    safe_state: SafeStateTable | None = Field(default=None, description="of output 1 and following")
    behaviour: BehaviourTable | None = Field(
        default=None, description="whether it keeps its outputs or goes to the safe state"
    )


class MapFile(Strict):
    """The whole file."""

    schema_: int = Field(alias="schema", ge=1, le=1, description="1")
    id: str = Field(description="the file's name without .toml")
    vendor: str = Field(description="the maker")
    model: str = Field(description="the device or the family")
    kind: Kind = Field(description="what it is")
    links: list[Literal["rtu", "tcp", "udp"]] = Field(description="what it speaks")
    evidence: Literal["verified", "unverified"] = Field(
        description="verified: a recording of a real one is decoded in a test"
    )
    capture: str = Field(
        default="", validate_default=True, description="that recording, under fixtures/captures"
    )
    confidence: str = Field(description="how sure it is, and why")
    source: str = Field(description="where the facts are from")
    sunspec_models: list[Whole] = Field(
        default=[], description="model numbers; addresses count from the ID register"
    )
    sunspec_bases: list[Whole] = Field(
        default=[], description="where its chain may start, if not at 40000, 50000 or 0"
    )
    serial: SerialTable | None = Field(default=None, description="its serial line as delivered")
    read: ReadTable = Field(description="how it is read")
    identify: list[MarkTable] = Field(default=[], description="what tells that it is this device")
    point: dict[str, PointTable] = Field(
        default={}, description="its values by name, which ends with the unit"
    )
    channels: list[ChannelsTable] = Field(default=[], description="values that repeat by a rule")
    relay: RelayTable | None = Field(default=None, description="its outputs")
    setpoint: SetpointTable | None = Field(
        default=None, description="where it is told what it may draw"
    )
    pause: PauseTable | None = Field(
        default=None, description="a coil or register of its own by which it is stopped and started"
    )
    failsafe: FailSafeTable | None = Field(
        default=None, description="what it does by itself when nobody speaks to it"
    )

    @field_validator("capture")
    @classmethod
    def _named(cls, capture: str, others: ValidationInfo) -> str:
        if others.data.get("evidence") == "verified" and not capture:
            raise ValueError("a verified map names the recording it decodes")
        return capture
