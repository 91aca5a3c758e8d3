"""The terminal view of a running panel: records in, a rich renderable out. No I/O of its own."""

from __future__ import annotations

from collections import deque

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from panelctl.model.doubt import Doubt
from panelctl.model.limit import LimitName
from panelctl.model.record import CircuitRecord, CycleRecord, FaultRecord, HelloRecord
from panelctl.model.wording import DOUBTS, LIMITS, event_text, reason_text

STATE_STYLE = {
    "NORMAL": "bold green",
    "DEGRADED": "bold yellow",
    "HOLD": "bold red",
    "SHED": "bold red",
}
EVENT_STYLE = {
    "shed": "red",
    "restore": "green",
    "throttle": "yellow",
    "fault": "bold red",
    "open": "magenta",
    "release": "magenta",
    "state": "cyan",
    "limit": "cyan",
    "relay": "magenta",
    "doubt": "bold red",
    "order": "bold red",
    "ignores": "bold red",
    "obeys": "green",
}
EVENTS_KEPT = 12
SHADOW = "SHADOW: nothing is written; relays and currents are as they would be."
# Of a relay board that does not show where its contacts are: what it was told.
TOLD = {"OPEN": "told off", "CLOSED": "told on"}


class PanelView:
    """Renders CycleRecords; keeps the last events."""

    def __init__(self, hello: HelloRecord, note: str = "") -> None:
        self.note = note
        self._hello = hello
        self._names = {c["id"]: c["name"] for c in hello["circuits"]}
        self._facts = {c["id"]: c for c in hello["circuits"]}
        self._events: deque[Text] = deque(maxlen=EVENTS_KEPT)

    def remember(self, record: CycleRecord, at_s: float) -> None:
        """Remember the record's events."""
        for event in record["events"]:
            style = EVENT_STYLE.get(event["what"], "")
            text = f"{at_s:6.1f} s  {event_text(event, self._names)}"
            self._events.append(Text(text, style=style, no_wrap=True, overflow="ellipsis"))

    def render(self, record: CycleRecord) -> RenderableType:
        """The whole view of one record."""
        timing = record["timing"]
        title = Text.assemble(
            (self._hello["name"], "bold"),
            "   ",
            (record["state"], STATE_STYLE.get(record["state"], "")),
            f"   {self._hello['rate_hz']:g} Hz, cycle {record['cycle']}, "
            f"{timing['work_us'] / 1000:.0f} ms, overruns {timing['overruns']}",
        )
        grid = Table.grid(expand=True, padding=(0, 1))
        grid.add_column(ratio=1)
        grid.add_column(ratio=1)
        grid.add_row(
            Panel(self._service(record), title="Service", border_style="dim"),
            Panel(self._event_list(), title="Events", border_style="dim"),
        )
        parts: list[RenderableType] = [title, grid, self._circuits(record)]
        if self._hello["shadow"]:
            parts.insert(1, Text(SHADOW, style="bold magenta"))
        if self.note:
            parts.append(Text(self.note, style="dim"))
        return Group(*parts)

    def _event_list(self) -> RenderableType:
        return Group(*reversed(self._events)) if self._events else Text("none yet", style="dim")

    def _service(self, record: CycleRecord) -> Table:
        table = Table.grid(expand=True, padding=(0, 1))
        table.add_column(width=9)
        table.add_column(ratio=1)
        table.add_column(width=17, justify="right")
        for name, leg in record["legs"].items():
            over = leg["headroom_a"] < 0
            style = "red" if over else ("yellow" if leg["headroom_a"] < 5 else "green")
            bar = ProgressBar(
                total=leg["limit_a"],
                completed=max(0.0, leg["a"]),
                complete_style=style,
                finished_style="red",
            )
            table.add_row(f"Leg {name}", bar, f"{leg['a']:.1f} / {leg['limit_a']:.0f} A")
            room = Text(f"{leg['headroom_a']:+.1f} A", style="bold red" if over else "")
            table.add_row(
                "", Text(f"limited by {LIMITS[LimitName[leg['binding']]]}", style="dim"), room
            )
            doubts = record["doubts"]
            for why in (*doubts.get(name, ()), *doubts.get("main", ())):
                table.add_row("", Text(f"not believed: {DOUBTS[Doubt(why)]}", style="bold red"), "")
        compute = record["compute"]
        if compute is not None:
            bar = ProgressBar(
                total=compute["max_w"],
                completed=max(0, compute["draw_w"]),
                complete_style="cyan",
                finished_style="cyan",
            )
            table.add_row("Compute", bar, f"{compute['draw_w'] / 1000:.2f} kW")
            said = "asked to stop" if compute["stop"] else f"floor {compute['floor_w'] / 1000:.1f}"
            table.add_row(
                "", Text(f"budget, {said}", style="dim"), f"{compute['budget_w'] / 1000:.2f} kW"
            )
        for limit in record["limits"]:
            if limit["name"] != "FSR":
                amps = min(limit["limit_a"].values())
                until = f", {limit['until_s']:.0f} s left" if "until_s" in limit else ""
                table.add_row("", f"{LIMITS[LimitName[limit['name']]]}: {amps:g} A{until}", "")
        return table

    def _circuits(self, record: CycleRecord) -> Table:
        half = (len(record["circuits"]) + 1) // 2
        grid = Table.grid(expand=True, padding=(0, 2))
        grid.add_column(ratio=3)
        grid.add_column(ratio=2)
        grid.add_row(
            self._column(record["circuits"][:half], record["faults"]),
            self._column(record["circuits"][half:], record["faults"]),
        )
        return grid

    def _column(self, circuits: list[CircuitRecord], faults: list[FaultRecord]) -> Table:
        table = Table(box=None, expand=True, padding=(0, 1), header_style="dim")
        table.add_column("circuit", no_wrap=True, width=19)
        table.add_column("W", justify="right", width=6)
        table.add_column("legs", width=4)
        table.add_column("tier", justify="right", width=4)
        table.add_column("relay", width=8)
        table.add_column("why", no_wrap=True, ratio=1, overflow="ellipsis")
        for circuit in circuits:
            facts = self._facts[circuit["id"]]
            relay, style = circuit["relay"], ""
            if relay == "OPEN":
                style = "red"
            elif facts["role"] == "always-on":
                relay = "always"
                style = "dim"
            elif not facts["armed"]:
                relay = "metered"
                style = "dim"
            if not facts["shows_contact"]:
                relay = TOLD.get(relay, relay)
            watts = f"{circuit['w']}" if circuit["fresh"] else f"({circuit['w']})"
            tier = str(circuit["tier"]) if facts["armed"] else ""
            why = reason_text(circuit, faults)
            if "set_a" in circuit and not facts["compute"]:
                why = f"≤ {circuit['set_a']:g} A  {why}"
            table.add_row(
                Text(facts["name"], style="bold cyan" if facts["compute"] else ""),
                watts,
                facts["legs"],
                tier,
                Text(relay.lower(), style=style),
                Text(why, style="yellow" if why else ""),
            )
        return table
