"""Types of the compiled plant. Meaning and units are in ext/panelctl/sim/plant.pyx."""

from panelctl.model.circuit import Circuit
from panelctl.model.panel import Panel
from panelctl.sim.breakers import ThermalBreaker

RELAY_S: float
NODE_TAU_S: float
CAR_DELAY_S: float

class Contact:
    closed: bool
    ordered: bool
    welded: bool
    stuck_open: bool
    moves_in_s: float
    takes_s: float
    def order(self, closed: bool) -> None: ...

class Node:
    floor_w: float
    max_w: float
    budget_w: float
    lease_s: float
    stopped: bool
    ignores: bool
    dead: bool
    tau_s: float
    draw_w: float
    jobs_ratio: float
    def __init__(self, floor_w: float, max_w: float) -> None: ...
    def tell(self, budget_w: float, lease_s: float, stop: bool) -> None: ...

class Charger:
    max_a: float
    fallback_a: float
    setpoint_a: float
    patience_s: float
    quiet_s: float
    car_a: float
    draw_a: float
    def __init__(self, max_a: float, fallback_a: float) -> None: ...
    def tell(self, setpoint_a: float) -> None: ...

class Tank:
    cooler_w: float
    litres: float
    temperature_c: float
    use_w: float
    def __init__(self, cooler_w: float) -> None: ...

class PlantCircuit:
    breaker: ThermalBreaker
    demand_w: float
    flicker_ratio: float
    current_a: float
    def __init__(self, circuit: Circuit) -> None: ...
    @property
    def circuit(self) -> Circuit: ...
    @property
    def contact(self) -> Contact: ...
    @property
    def node(self) -> Node | None: ...
    @property
    def charger(self) -> Charger | None: ...
    @property
    def opened(self) -> int: ...
    @property
    def turns(self) -> int: ...
    @property
    def moves(self) -> bool: ...
    @property
    def volts(self) -> float: ...
    @property
    def powered(self) -> bool: ...
    @property
    def power_w(self) -> float: ...
    @property
    def energy_wh(self) -> float: ...

class Plant:
    main: ThermalBreaker
    volts: float
    grid: bool
    def __init__(self, panel: Panel) -> None: ...
    @classmethod
    def of(cls, panel: Panel) -> Plant: ...
    @property
    def circuits(self) -> dict[str, PlantCircuit]: ...
    @property
    def legs_a(self) -> list[float]: ...
    @property
    def bus_a(self) -> list[float]: ...
    @property
    def neutral_a(self) -> float: ...
    @property
    def trips(self) -> list[str]: ...
    @property
    def time_s(self) -> float: ...
    @property
    def tank(self) -> Tank | None: ...
    @property
    def import_wh(self) -> float: ...
    @property
    def export_wh(self) -> float: ...
    def step(self, dt_s: float) -> None: ...
    def carries(self, for_s: float) -> bool: ...
    def household_a(self, leg: int) -> float: ...
