"""PANELCTL_PURE=1: the rules, the ladder, the fields, the records and the checksum as their text
says, without a compiled module among them. The simulator stays compiled.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.contract.generated_c import NOTHING_COMPILED, ROOT

ENVIRONMENT = os.environ | {"PANELCTL_PURE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
TEXTS = """
import sys
from panelctl.control.bulk import Bulk
from panelctl.core.backend import build_core
from panelctl.core.engine import Engine
from panelctl.config.load import read_panel
from panelctl.modbus.crc import crc16
from panelctl.modbus.fields import Field
from pathlib import Path
engine = Engine(read_panel(Path("panelctl/sim/demo.toml")))
for thing in (Bulk, type(engine.core), crc16, Field):
    module = sys.modules[thing.__module__]
    print(thing.__module__, module.__file__.endswith(".py"))
compiled = [name for name, module in sys.modules.items()
            if name.startswith("panelctl.") and str(module.__file__).endswith(".so")]
print(sorted(compiled))
"""


def test_nothing_that_decides_is_compiled() -> None:
    told = subprocess.check_output(
        [sys.executable, "-c", TEXTS], cwd=ROOT, env=ENVIRONMENT, text=True
    )
    assert told.splitlines() == [
        "panelctl.control.bulk_text True",
        "panelctl.core.decide.interpreted True",
        "panelctl.modbus.crc_text True",
        "panelctl.modbus.fields_text True",
        "[]",
    ]


UNIT = sorted(
    path.name
    for path in (ROOT / "tests/unit").glob("test_*.py")
    if path.stem.removeprefix("test_") not in NOTHING_COMPILED
)
SHARES = 4
ONCE = "not compiled and not interpreted"  # those run over both anyway
CLOUDS = ["scenario/test_sources.py"]
GROUPS: dict[str, tuple[list[str], str]] = {  # files, and what of them
    **{
        f"unit {n + 1} of {SHARES}": ([f"unit/{name}" for name in UNIT[n::SHARES]], ONCE)
        for n in range(SHARES)
    },
    "property": (
        [f"property/test_{name}.py" for name in ("fields", "bulk", "doors", "snapshot")],
        "test",
    ),
    "contract": (["contract/test_pymodbus.py", "contract/test_ebus_panel_sim.py"], "test"),
    "what is decided": (["baseline/test_baseline.py"], "test_what_is_decided and (3 or 34)"),
    "a home": (["baseline/test_baseline.py"], "test_a_recorded_home"),
    "clouds": (CLOUDS, "clouds_keeps_every_row and 1"),
    "the sun": (CLOUDS, "the_sun_alone_never_passes_a_limit and 1"),
    "a storm": (["storm/test_storm.py"], "a_recording_of_a_storm_replays"),
}


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_the_text_passes(group: str) -> None:
    files, only = GROUPS[group]
    names = [f"tests/{name}" for name in files]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *names, "-q", "-p", "no:cacheprovider", "-k", only],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]
