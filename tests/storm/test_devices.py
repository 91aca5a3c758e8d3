"""Each shipped charger and relay board under the whole controller.

Most boards show what they were told, and not where their contacts are: what they cannot show is
not claimed, and what their circuits' currents show is told.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from panelctl.config.load import parse_panel
from panelctl.control.app import App
from panelctl.model.record import CircuitRecord
from panelctl.sim.storm.run import plan, run
from panelctl.sim.storm.strike import Pace, Strike
from panelctl.sim.storm.telling import BEAT_S, TOLD_S
from tests.shipped import chargers, with_charger
from tests.storm.test_mutations import in_each_record

HOME = Path("fixtures/panels/home_100a.toml").read_text()
BOARDS = ["kmtronic_relay_8", "waveshare_relay_8ch", "wellpro_wp8025adam", "laskakit_relay_8ch"]
# What becomes of orders, and what gives cause for them.
OF_ORDERS = {
    *("writes_refused", "writes_lost", "writes_ignored", "charger_keeps", "charger_forgets"),
    *("charger_anew", "somebody_sets", "car_ramps", "car_starts_late", "cable_out", "settle"),
    *("restart", "limit_tight", "all_on"),
}


@pytest.mark.parametrize("charger", chargers())
def test_orders_to_every_charger_are_followed_or_told_of(charger: str) -> None:
    text = with_charger(charger)
    panel = parse_panel(text, "panel.toml")
    strikes = plan(panel, 1, 600.0, Pace(8.0, 60.0), OF_ORDERS)
    result = run(panel, text, 1, 600.0, strikes, 0.0)
    assert result.violations == []
    assert result.figures.untold_s <= TOLD_S + BEAT_S


def home_with(board: str) -> str:
    """The home, switched by boards of another make; at a rate that fits the slowest of them."""
    text = HOME.replace('map = "wirenboard_wb_mr6cu"', f'map = "{board}"')
    assert text != HOME
    return text.replace("[service]\n", "[timing]\nrate_hz = 8\n\n[service]\n")


@pytest.mark.parametrize("board", BOARDS)
def test_a_storm_over_boards_that_show_only_what_they_were_told(board: str) -> None:
    text = home_with(board)
    panel = parse_panel(text, "panel.toml")
    assert not any(c.shows_contact for c in panel.circuits if c.relay_device)
    result = run(panel, text, 6, 240.0, plan(panel, 6, 240.0, Pace(6.0, 30.0)), 0.0)
    assert result.violations == []
    assert result.figures.relay_moves > 4


def what_was_told(app: App) -> None:
    """A circuit is shown off because its board was told so, though current flows."""

    def spoil(circuit: CircuitRecord) -> None:
        if circuit["relay"] == "UNKNOWN":
            circuit["relay"] = circuit.get("ordered", "UNKNOWN")

    in_each_record(app, spoil)


def test_a_welded_contact_is_shown_as_unknown_where_only_its_current_is_seen() -> None:
    text = home_with("kmtronic_relay_8")
    panel = parse_panel(text, "panel.toml")
    strikes = [Strike(30.0, 80.0, "welded", c.id, 1.0) for c in panel.circuits if c.relay_device]
    strikes += [Strike(at_s - 4.0, 1.0, "all_on", "panel", 0.5) for at_s in (40.0, 80.0)]
    strikes += [Strike(at_s, 12.0, "limit_tight", "panel", 0.6) for at_s in (40.0, 80.0)]
    strikes.sort(key=lambda strike: strike.at_s)
    assert run(panel, text, 1, 120.0, strikes, 0.0).violations == []
    found = run(panel, text, 1, 120.0, strikes, 0.0, alter=what_was_told).violations
    assert "O1" in {violation.check for violation in found}
