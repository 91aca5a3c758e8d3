"""Whole applications in a storm, and recorded homes: what was decided, and written to devices."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from panelctl.config.load import read_panel
from panelctl.control.app import App
from panelctl.core import snapshot
from panelctl.core.engine import Engine
from panelctl.core.snapshot import Snapshot
from panelctl.errors import DeviceRefused
from panelctl.field import orders, outputs, unit
from panelctl.field.lane import Lane
from panelctl.field.relays import NOT_FOLLOWED_NS, Output, Relays
from panelctl.field.sequence import GatewayOrder
from panelctl.field.setpoints import SetpointWatch
from panelctl.field.target import RETRY_NS
from panelctl.modbus.shapes import other_shapes
from panelctl.model.relay import Claim
from panelctl.sim import devices, gateway, segment, told
from panelctl.sim.devices import SimDevice
from panelctl.sim.direct import DirectRun
from panelctl.sim.homes.player import HomePlayer
from panelctl.sim.plant import Plant
from panelctl.sim.server import Fault, answer_pdu, refusal
from panelctl.sim.storm.faults import KINDS
from panelctl.sim.storm.run import plan, run
from panelctl.sim.storm.strike import Pace
from tests.baseline.homes_then import read_home
from tests.baseline.stream import projection
from tests.baseline.then import as_then

SEEDS = range(1, 23)
STORM_S = 150.0
ROUGH = Pace(6.0, 30.0)
PANELS = (Path("panelctl/sim/demo.toml"), Path("fixtures/panels/home_100a.toml"))
HOMES = {
    "ochre_winter": Path("fixtures/panels/home_100a.toml"),
    "ochre_demo": Path("panelctl/sim/demo.toml"),
    "tracebase_demo": Path("panelctl/sim/demo.toml"),
}
HOME_STEPS = 20_000  # seconds
LATER_KINDS = {  # of faults, that came after the recording
    *("writes_refused", "writes_lost", "writes_ignored", "somebody_switches", "board_reboots"),
    *("phantom", "standstill", "charger_keeps", "charger_forgets", "somebody_sets"),
    "charger_anew",
    *("renews_seldom", "averages", "smooths", "shows_old", "renews_apart"),
    *("deadband", "coarse_digits", "node_late", "node_boots"),
    *("car_takes_more", "car_starts_late", "car_ramps", "car_holds", "car_leaves"),
    *("pulses", "thermostat", "compressor"),
}
WRITERS = (devices.SimRelayBoard, told.SimCharger, told.SimNode)


@contextmanager
def overheard(note: Any) -> Iterator[None]:
    """Tell `note` of every write that a simulated device takes."""
    before = []
    for kind in WRITERS:
        for name in ("write_coil", "write_registers"):
            if name in vars(kind):
                before.append((kind, name, vars(kind)[name]))

    def listening(name: str, write: Any) -> Any:
        def heard(self: Any, address: int, what: Any) -> None:
            note(repr((self.device.name, name, address, what)).encode())
            write(self, address, what)

        return heard

    for kind, name, write in before:
        setattr(kind, name, listening(name, write))
    try:
        yield
    finally:
        for kind, name, write in before:
            setattr(kind, name, write)


def as_it_was(device: SimDevice, pdu: bytes, time_s: float, struck: Fault | None) -> bytes:
    """In the world of the recording a simulated device that refused did it all the same. What is
    compared is what is decided, so the world stays as it was.
    """
    answer = answer_pdu(device, pdu, time_s)
    refuses = struck is not None and struck.kind == "refuse"
    return refusal(pdu, struck.code) if struck is not None and refuses else answer


def again_as_then(relays: Relays, output: Output, taken: bool, ordered_ns: int) -> int:
    """Then a relay at fault was told again each ten seconds, any other as soon as might be."""
    state, image = relays._engine.state, relays._engine.image
    faulty = state.claims[output.i] & Claim.FAULT
    told = image.sampled_ns[output.acked] > 0
    other = told and image.value[output.acked] != state.closed[output.i]
    return ordered_ns + (NOT_FOLLOWED_NS if faulty and not other else RETRY_NS)


put_faults = snapshot._put_faults


def nameless_as_then(engine: Engine, kept: Snapshot, now_ns: int) -> None:
    """Then a restart forgot why a circuit at fault was open: it was named by its other claims."""
    reasons = list(engine.state.reason)
    put_faults(engine, kept, now_ns)
    for i, reason in enumerate(reasons):
        engine.state.reason[i] = reason


async def before_a_read(lane: Lane) -> None:
    """Not by itself."""


# What has come since on the wire: each question and write more moves all that follow it. Nobody
# looked whether a set-point is followed, nor who had moved a relay; a board that refused was waited
# for like a silent one; an order whose reply was lost was forgotten when it was wanted no more;
# what was asked in between was any point; who answers was looked at before a read; no connection
# was known to be in step.
THEN: list[tuple[Any, str, Any]] = [
    (snapshot, "_put_faults", nameless_as_then),
    (gateway, "answered", as_it_was),
    (segment, "answered", as_it_was),
    (outputs, "read_back", lambda *said: None),
    (outputs, "refuses", lambda error: False),
    (orders, "refuses", lambda error: isinstance(error, DeviceRefused)),
    (unit, "other_shapes", lambda known, asked, usual: other_shapes(known, asked)),
    (SetpointWatch, "drawn", lambda *said: None),
    (Lane, "_check", before_a_read),
    (GatewayOrder, "came_into_step", lambda order: None),
    (Relays, "_again_ns", again_as_then),
    (Relays, "doubt", lambda relays, output, closed: None),
    (Relays, "_moved", lambda relays, i: False),
]


@contextmanager
def the_world_of_then() -> Iterator[None]:
    """Devices, and what is asked and told of them, as when the recording was made."""
    with ExitStack() as stack:
        for place, name, then in THEN:
            stack.callback(setattr, place, name, getattr(place, name))
            setattr(place, name, then)
        yield


def storm(seed: int) -> str:
    """The digest of one storm: its projections, and every write."""
    path = PANELS[seed % len(PANELS)]
    panel, chain = read_panel(path), hashlib.blake2b(digest_size=8)

    def listen(app: App) -> None:
        step = as_then(app.engine).step

        def heard(now_ns: int, commands: Any = ()) -> Any:
            verdicts = step(now_ns, commands)
            chain.update(projection(app.engine, now_ns, app.engine.doubts))
            return verdicts

        app.engine.step = heard  # type: ignore[method-assign]  # to listen

    strikes = plan(panel, seed, STORM_S, ROUGH, KINDS.keys() - LATER_KINDS)
    with the_world_of_then(), overheard(chain.update):
        run(panel, path.read_text(), seed, STORM_S, strikes, 0.0, alter=listen)
    return chain.hexdigest()


def home(name: str) -> str:
    """The digest of hours of a recorded home."""
    panel = read_panel(HOMES[name])
    plant = Plant.of(panel)
    day = DirectRun(
        panel, plant, HomePlayer(read_home(Path(f"fixtures/homes/{name}.toml"), plant), plant)
    )
    chain = hashlib.blake2b(digest_size=8)
    engine: Engine = as_then(day.engine)
    for _ in range(HOME_STEPS):
        day.step()
        chain.update(projection(engine, engine.state.step_ns[0], engine.doubts))
    return chain.hexdigest()
