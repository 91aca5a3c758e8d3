"""Simulated Modbus devices: the plant's truth as registers, through the same maps.

A register that a map does not have is refused as a real device refuses it. Meters show a value with
a little noise, renewed once a window. The same map on both sides cancels a wrong map out; only a
recording of a real device can prove one, which is why maps carry their evidence.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable

from panelctl.modbus.codec import encode_value
from panelctl.modbus.identity import SERIAL
from panelctl.modbus.maps import Point, RegisterMap, load_map
from panelctl.model.panel import Device
from panelctl.sim.measuring import Follower, Measuring
from panelctl.sim.plant import Contact
from panelctl.sim.registers import Shown, Window, Words

ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3
METER_WINDOW_S = 0.02
MODEL_CODE = (1760).to_bytes(2, "big")  # of an EM540
NOISE_RATIO = 0.001  # a class 0.5 meter's noise, well inside its error


class Refusal(Exception):
    """The device answers with this Modbus exception code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


class SimDevice:
    """A device's registers and bits. Subclasses say what stands in them."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.map: RegisterMap = load_map(device.map)
        self.serial = zlib.crc32(device.name.encode())  # its serial number
        self.writes = 0  # how often it was told something

    def serial_words(self) -> dict[int, int]:
        """The registers that hold its serial number, by address; empty where its map has none."""
        point = self.map.points.get(SERIAL)
        if point is None:
            return {}
        if point.type == "text":
            text = f"{self.serial:010d}".encode()[: 2 * point.count].ljust(2 * point.count, b"\0")
            words = [int.from_bytes(text[n : n + 2], "big") for n in range(0, len(text), 2)]
        else:
            words = encode_value(point, self.serial)
        return dict(zip(range(point.address, point.end), words, strict=True))

    def read(self, table: str, address: int, count: int, time_s: float) -> bytes:
        """Registers or bits, as they go over the wire. Raises Refusal."""
        raise Refusal(ILLEGAL_ADDRESS)

    def written_by(self, address: int) -> int:
        """The one Modbus function that writes this holding register."""
        if self.map.pause is not None and address == self.map.pause.address:
            return self.map.pause.function
        if self.map.relay is not None:
            return 6
        return self.map.setpoint.function if self.map.setpoint is not None else 16

    def write_coil(self, address: int, on: bool) -> None:
        """Drive a coil. Raises Refusal."""
        raise Refusal(ILLEGAL_ADDRESS)

    def write_registers(self, address: int, words: list[int]) -> None:
        """Write holding registers. Raises Refusal."""
        raise Refusal(ILLEGAL_ADDRESS)


class SimMeter(SimDevice):
    """A meter: each point shows what a function of the plant returns, in the point's unit."""

    def __init__(
        self,
        device: Device,
        shown: dict[str, Callable[[], float]],
        seed: int,
        window_s: float = METER_WINDOW_S,
    ) -> None:
        super().__init__(device)
        self.words = {"holding": Words(), "input": Words()}
        for point in self.map.points.values():
            if point.table in self.words:
                for address in range(point.address, point.end):
                    self.words[point.table][address] = 0
        if SERIAL in self.map.points:
            for address, word in self.serial_words().items():
                self.words[self.map.points[SERIAL].table][address] = word
        legs = [shown[name] for name in ("l1_w", "l2_w", "l3_w") if name in shown]
        if legs and "total_w" in self.map.points:
            shown = {"total_w": lambda: sum(leg() for leg in legs), **shown}
        self._shown = [
            Shown(self.map.points[name], source, self.words[self.map.points[name].table])
            for name, source in shown.items()
        ]
        self._windows: dict[tuple[str, int, int], Window] = {}  # of what is read
        self._random = random.Random(f"{seed} {device.name}")
        self.window_s = window_s
        self.measuring: Measuring | None = None  # None: every value is of the moment it is asked
        if self.map.renews_ms / 1000 > METER_WINDOW_S:
            self.measuring = Measuring(self.map.renews_ms / 1000)
        self._follower = Follower(self._random.random)
        self._read_points: list[Shown] = []
        self.frozen = False
        self.swapped = False  # the words of what it shows stand in the wrong order
        self.spoil: Callable[[Point, float], float] | None = None  # what it shows instead
        self._faults: tuple[object, ...] = (False, False, None)  # when it was followed last
        if self.map.id == "carlo_gavazzi_em540":
            for undocumented in range(52):
                self.words["input"][undocumented] = 0

    def read(self, table: str, address: int, count: int, time_s: float) -> bytes:
        """Registers; each point in them takes a new value once a window."""
        if count == 1 and address in self.map.isolated:
            return MODEL_CODE  # an EM540's hides behind a single-register read
        place = (table, address, count)
        window = self._windows.get(place) or self._look(*place)
        if self.measuring is not None:
            self.follow(time_s)
        elif not self.frozen:
            dice, spoil = self._random.random, self.spoil
            window.renew(time_s, self.window_s, dice, NOISE_RATIO, spoil, self.swapped)
        data = window.data()
        if data is None:
            raise Refusal(ILLEGAL_ADDRESS)
        return data

    def _look(self, table: str, address: int, count: int) -> Window:
        """Where such a read looks."""
        words, span = self.words.get(table), range(address, address + count)
        if words is None or count > self.map.max_registers:
            raise Refusal(ILLEGAL_ADDRESS)
        shown = [s for s in self._shown if s.point.table == table and s.point.address in span]
        window = self._windows[table, address, count] = Window(words, address, count, shown)
        new = [s for s in shown if s not in self._read_points]
        if new:
            self._read_points = [*self._read_points, *new]
            if self.measuring is not None:
                window.renew(0.0, 0.0, self._random.random, NOISE_RATIO, self.spoil, self.swapped)
        return window

    def follow(self, time_s: float) -> None:
        """Take what flows, after each step of the plant: what is asked later may be of now."""
        faults = (self.frozen, self.swapped, self.spoil)
        if faults != self._faults:
            self._faults = faults
            self._follower.forget()
        new = self._follower.follow(self.measuring, self._read_points, time_s)
        if not self.frozen:
            for shown, value in new:
                shown.put(value, self._random.random, NOISE_RATIO, self.spoil, self.swapped)


class SimRelayBoard(SimDevice):
    """A relay board: it shows where its contacts really are, or only what it was told, in bits or
    in registers, and is told by coils or by command words, as its map says.

    `contacts` are those of the loads, by output; a load whose output is one of `closed_by_rest` is
    on the normally closed contact, and open while its coil is driven.
    """

    def __init__(
        self,
        device: Device,
        contacts: dict[int, Contact],
        closed_by_rest: frozenset[int] = frozenset(),
    ) -> None:
        super().__init__(device)
        assert self.map.relay is not None
        self.contacts = contacts
        self._closed_by_rest = closed_by_rest
        self._board = self.map.relay
        self._state = self.map.points["output_1"]
        self._spare = Contact()
        self.on_order: Callable[[int, bool], None] = lambda output, closed: None

    def _contact(self, output: int) -> Contact:
        return self.contacts.get(output, self._spare)

    def read(self, table: str, address: int, count: int, time_s: float) -> bytes:
        """What it was told (its coils) or where its contacts are; or its serial number."""
        if table in ("holding", "input") and table != self._state.table:
            return self._read_serial(table, address, count)
        shows = table == self._state.table
        if not shows and table != "coil":
            raise Refusal(ILLEGAL_ADDRESS)
        first = self._state.address if shows else self._board.coil
        if not first <= address <= address + count <= first + self._board.outputs:
            raise Refusal(ILLEGAL_ADDRESS)
        outputs = range(address - first + 1, address - first + 1 + count)
        on = [self._is_on(output, shows and self._board.shows_contact) for output in outputs]
        if table in ("holding", "input"):
            return b"".join(int(each).to_bytes(2, "big") for each in on)
        bits = sum(each << n for n, each in enumerate(on))
        return bits.to_bytes((count + 7) // 8, "little")

    def _is_on(self, output: int, really: bool) -> bool:
        contact = self._contact(output)
        closed = contact.closed if really else contact.ordered
        return closed != (output in self._closed_by_rest)

    def _read_serial(self, table: str, address: int, count: int) -> bytes:
        words = self.serial_words()
        if not words or table != self.map.points[SERIAL].table:
            raise Refusal(ILLEGAL_ADDRESS)
        if not all(n in words for n in range(address, address + count)):
            raise Refusal(ILLEGAL_ADDRESS)
        return b"".join(words[n].to_bytes(2, "big") for n in range(address, address + count))

    def write_coil(self, address: int, on: bool) -> None:
        """Drive an output by its coil."""
        if self._board.close is not None:
            raise Refusal(ILLEGAL_ADDRESS)
        self._order(address, on)

    def write_registers(self, address: int, words: list[int]) -> None:
        """Drive an output by a command word."""
        if self._board.close is None or len(words) != 1:
            raise Refusal(ILLEGAL_ADDRESS)
        if words[0] not in (self._board.close, self._board.open):
            raise Refusal(ILLEGAL_VALUE)
        self._order(address, words[0] == self._board.close)

    def _order(self, address: int, on: bool) -> None:
        output = address - self._board.coil + 1
        if not 1 <= output <= self._board.outputs:
            raise Refusal(ILLEGAL_ADDRESS)
        if output in self.contacts:
            self.on_order(output, on != (output in self._closed_by_rest))
        self.drive(output, on)

    def drive(self, output: int, on: bool) -> None:
        """Let current through the coil of an output, or take it away."""
        self._contact(output).order(on != (output in self._closed_by_rest))
