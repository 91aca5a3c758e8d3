"""What an installer wired the other way round: the whole controller, on a panel that is really so.

Each is tried against a panel file that says it, and against one that does not: a simulation that
did not do it, or a controller that did not know, would fail one of the two.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from panelctl.config.load import parse_panel
from panelctl.link.protocol import RECORD, Cycle, read_message
from panelctl.model.record import CircuitRecord, CycleRecord
from panelctl.sim.devices import SimRelayBoard
from panelctl.sim.storm.run import plan, run
from panelctl.sim.storm.strike import Pace
from panelctl.sim.storm.world import World
from panelctl.units import NS_PER_S

TEXT = Path("panelctl/sim/demo.toml").read_text()
HEATER = "water_heater"
HEATER_W = 4_500.0
OUTPUT = 'relay = { device = "relays1", output = 6'
NC = TEXT.replace(OUTPUT, OUTPUT + ', contact = "nc"')
LEGS = 'b = "l2_a", power = ["l1_w", "l2_w"]'  # of the compute node's meter
TURNED = TEXT.replace(LEGS, 'b = "-l2_a", power = ["l1_w", "-l2_w"]')
UNIT = "unit = 2\n"
TURNED_METER = TEXT.replace(UNIT, UNIT + "invert = true\n")
TURNED_TWICE = TURNED.replace(UNIT, UNIT + "invert = true\n")
HEATER_WATTS = 'power = ["ch6_w"]'
TURNED_WATTS = TEXT.replace(HEATER_WATTS, 'power = ["-ch6_w"]')
assert TEXT not in (NC, TURNED, TURNED_METER, TURNED_WATTS)


class Wired:
    """A panel that is wired as `real` says, under a controller that was given `file`."""

    def __init__(self, folder: Path, real: str, file: str | None = None) -> None:
        folder.joinpath("state").mkdir(parents=True)
        self.world = World(parse_panel(real, "real.toml"), file or real, 1, folder / "state")
        if file is not None:
            self.world.believed = parse_panel(file, "panel.toml")
        self.world.household.calm = True
        self.world.line = self._heard
        self.records: list[CycleRecord] = []

    def _heard(self, line: bytes) -> None:
        if line.startswith(RECORD):
            match read_message(line):
                case Cycle(record):
                    self.records.append(record)

    @property
    def shown(self) -> CircuitRecord:
        """The water heater, as the controller sees it now."""
        return self.circuit(HEATER)

    def circuit(self, ident: str) -> CircuitRecord:
        """A circuit, as the controller sees it now."""
        return next(c for c in self.records[-1]["circuits"] if c["id"] == ident)

    @property
    def closed(self) -> bool:
        """Whether the water heater really has power."""
        return self.world.plant.circuits[HEATER].contact.closed

    def coil(self) -> bool:
        """Whether the coil of its output is driven."""
        return bool(self.board.read("coil", 5, 1, self.world.now_s)[0])

    @property
    def board(self) -> SimRelayBoard:
        """Its relay board."""
        board = self.world.devices["relays1"]
        assert isinstance(board, SimRelayBoard)
        return board

    def live(self, *steps: Callable[[], None]) -> None:
        """Ten seconds of a controller, and ten after each of these."""
        world = self.world
        for name, item in world.plant.circuits.items():
            item.demand_w = HEATER_W if name == HEATER else 300.0

        async def life() -> None:
            world.start()
            listening = asyncio.create_task(world.listen())
            for n, step in enumerate((lambda: None, *steps), start=1):
                step()
                await world.clock.sleep_until((1 + 10 * n) * NS_PER_S)
                world.look()
            await world.stop()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

        world.loop.run_until_complete(life())
        world.loop.close()
        assert world.crashes == world.broken == []

    def faults(self) -> list[str]:
        """The circuits that were said to be at fault."""
        return [e["circuit"] for r in self.records for e in r["events"] if e["what"] == "fault"]


def test_a_load_on_the_normally_closed_contact(tmp_path: Path) -> None:
    wired = Wired(tmp_path, NC)

    def as_it_is(closed: bool) -> None:
        position = "CLOSED" if closed else "OPEN"
        assert (wired.closed, wired.coil()) == (closed, not closed)
        assert (wired.shown["relay"], wired.shown.get("ordered")) == (position, position)

    def opened() -> None:
        as_it_is(closed=True)
        wired.world.say(do="open", id="x1", circuit=HEATER)

    def restarted() -> None:
        as_it_is(closed=False)
        assert not wired.faults()
        wired.board.drive(6, False)  # its board has lost the order

    def taken_back() -> None:
        as_it_is(closed=False)
        assert wired.faults() == [HEATER], "it closed by itself, was seen, and opened again"
        wired.world.say(do="close", id="x2", circuit=HEATER)

    wired.live(opened, restarted, taken_back)
    as_it_is(closed=True)
    assert wired.shown["a"][0] > 15


def test_a_normally_closed_contact_that_the_panel_file_does_not_tell_of(tmp_path: Path) -> None:
    wired = Wired(tmp_path, NC, TEXT)
    wired.live()
    assert wired.closed
    assert wired.shown["relay"] == "OPEN"
    assert HEATER in wired.faults(), "it is open, by its board, and draws"


def test_a_normally_closed_contact_that_is_none(tmp_path: Path) -> None:
    wired = Wired(tmp_path, TEXT, NC)
    wired.live()
    assert wired.shown["relay"] == "OPEN"
    assert HEATER in wired.faults()


@pytest.mark.parametrize("text", [TURNED, TURNED_METER, TURNED_TWICE])
def test_a_transformer_that_is_on_backwards(text: str, tmp_path: Path) -> None:
    wired = Wired(tmp_path, text)
    wired.live()
    node = wired.world.plant.circuits["compute"]
    seen = wired.circuit("compute")
    assert node.current_a > 20
    assert seen["a"] == pytest.approx([node.current_a] * 2, rel=0.05)
    assert seen["w"] == pytest.approx(node.power_w, rel=0.05)
    assert seen["fresh"]


@pytest.mark.parametrize(("real", "file"), [(TURNED, TEXT), (TEXT, TURNED), (TURNED, TURNED_TWICE)])
def test_a_transformer_of_which_the_panel_file_says_the_wrong_thing(
    real: str, file: str, tmp_path: Path
) -> None:
    wired = Wired(tmp_path, real, file)
    wired.live()
    node, seen = wired.world.plant.circuits["compute"], wired.circuit("compute")
    assert seen["w"] < node.power_w / 2
    assert min(seen["a"]) < node.current_a / 2 or not seen["fresh"]


def test_a_current_without_a_sign_whose_power_is_turned(tmp_path: Path) -> None:
    for name, file, sign in (("right", TURNED_WATTS, 1), ("wrong", TEXT, -1)):
        wired = Wired(tmp_path / name, TURNED_WATTS, file)
        wired.live()
        assert wired.shown["a"] == pytest.approx([HEATER_W / 240] * 2, rel=0.05)
        assert wired.shown["w"] == pytest.approx(sign * HEATER_W, rel=0.05)


def test_a_current_that_cannot_be_turned_does_not_hide_its_load(tmp_path: Path) -> None:
    """The meter's register has a sign that it never uses."""
    wired = Wired(tmp_path, TEXT, TURNED)
    wired.live()
    seen = wired.circuit("compute")
    assert not seen["fresh"], "marked, and not taken for nothing"
    assert wired.records[-1]["state"] == "DEGRADED"


def test_a_storm_over_a_panel_that_is_wired_both_ways() -> None:
    """Half of its loads are on normally closed contacts, and the node's meter is half backwards."""
    outputs = iter(range(100))

    def other(found: re.Match[str]) -> str:
        return found[0] if next(outputs) % 2 else f'{found[1]}, contact = "nc" }}'

    text = re.sub(r"(output = \d) }", other, TURNED)
    panel = parse_panel(text, "panel.toml")
    assert sum(circuit.relay_inverted for circuit in panel.circuits) == 15
    result = run(panel, text, 6, 240.0, plan(panel, 6, 240.0, Pace(6.0, 30.0)), 0.0)
    assert result.violations == []
    assert result.figures.relay_moves > 10
