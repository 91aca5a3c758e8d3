"""Records and hellos as the controller makes them, for tests of those who read them."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path

from panelctl.config.load import parse_panel
from panelctl.control.describe import describe_panel
from panelctl.control.publish import Publisher
from panelctl.control.start import Start
from panelctl.control.store import Kept
from panelctl.core.engine import Engine
from panelctl.model.panel import Panel
from panelctl.model.record import CycleRecord, HelloRecord, TimingRecord
from tests.engine_rig import EngineRig

DEMO = Path("panelctl/sim/demo.toml")
WALL_S = 1.7e9
TIMING: TimingRecord = {"late_us": 0, "work_us": 0, "overruns": 0, "complete": True}


def hello_of(panel: Panel, config: str = "") -> HelloRecord:
    """The hello of a controller that starts from nothing."""
    return describe_panel(panel, config, Start(Kept(), 0, 0.0))


def record_of(
    engine: Engine, now_ns: int, publisher: Publisher | None = None, wall_s: float = WALL_S
) -> CycleRecord:
    """The record of what an engine has decided, at `now_ns`."""
    publisher = publisher or Publisher(engine)
    publisher.decided(now_ns, [], [])
    return publisher.record(wall_s, {**TIMING})


@cache
def _demo() -> tuple[HelloRecord, CycleRecord]:
    text = DEMO.read_text()
    rig = EngineRig(parse_panel(text, DEMO.name))
    rig.run(5)
    return hello_of(rig.engine.panel, text), record_of(rig.engine, rig.now_ns - 100_000_000)


def demo_hello() -> HelloRecord:
    """The demo panel's hello."""
    return copy.deepcopy(_demo()[0])


def demo_record() -> CycleRecord:
    """A record of the demo panel, soon after its start."""
    return copy.deepcopy(_demo()[1])
