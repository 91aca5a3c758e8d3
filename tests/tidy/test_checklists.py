"""The checklists of CONTRIBUTING.md, followed: what is there of each kind is wherever its list says
that it has to be.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from panelctl.config.load import parse_panel
from panelctl.model.doubt import Doubt
from panelctl.model.limit import LimitName
from panelctl.model.wording import DOUBTS, LIMITS
from panelctl.sim.storm.faults import KINDS
from panelctl.sim.storm.report import CHECKS
from panelctl.sim.storm.run import targets
from tests.baseline.storms import LATER_KINDS
from tests.panels import files
from tests.storm.test_mutations import watched

LOADS = Path("ext/panelctl/sim/_loads.pxi").read_text()
APPLIANCES = re.findall(r"^cdef class (\w+)", LOADS, re.M)
# What the rules put in force themselves, in core/decide.
OF_THE_RULES = {LimitName.FSR, LimitName.REQUESTED, LimitName.THERMAL}
ON_ANY_PANEL = ("M1", "crash")  # checks of the controller itself: no rule is missing there


def text_of(*paths: str) -> str:
    return "\n".join(
        file.read_text()
        for path in paths
        for file in (sorted(Path(path).rglob("*.py")) if Path(path).is_dir() else [Path(path)])
    )


@pytest.mark.parametrize("name", LimitName)
def test_a_source_of_a_limit(name: LimitName) -> None:
    assert LIMITS[name], "its words"
    table = Path("docs/explanation/how-it-decides.md").read_text()
    assert re.search(rf"^\| {name.name} \| .+ \|$", table, re.M), "a line of the table"
    if name not in OF_THE_RULES:
        assert f"LimitName.{name.name}" in Path("panelctl/core/limits/named.py").read_text()
    tested = text_of("tests/unit")
    assert re.search(rf"\bLimitName\.{name.name}\b|\b{name.name}\b", tested), "a test"


@pytest.mark.parametrize("name", APPLIANCES)
def test_an_appliance_of_the_simulated_home(name: str) -> None:
    plant = Path("ext/panelctl/sim/plant.pyx").read_text()
    assert re.search(rf"\b{name}\(", plant), "the plant that owns it"
    stub = ast.parse(Path("panelctl/sim/plant.pyi").read_text())
    assert name in {node.name for node in stub.body if isinstance(node, ast.ClassDef)}
    tested = text_of("tests/unit", "tests/storm")
    assert re.search(rf"\b{name}\b|\b{name.lower()}\b", tested), "its test"


@pytest.mark.parametrize("doubt", Doubt)
def test_a_doubt(doubt: Doubt) -> None:
    assert DOUBTS[doubt], "its words"
    assert doubt.name in text_of("panelctl/core/decide", "panelctl/core/doubt"), "its rule"
    assert doubt.name in text_of("tests/unit", "tests/storm"), "its test"
    explained = Path("docs/explanation/how-it-decides.md").read_text()
    assert re.search(rf"\b{doubt.name}\b", explained), "what it is, for people"


def test_a_kind_of_storm_fault() -> None:
    panels = [parse_panel(text, name) for name, text in files().items()]
    places = [targets(panel) for panel in (*panels, watched()[0])]
    assert all(any(each.get(kind) for each in places) for kind in KINDS), "it strikes somewhere"
    assert set(KINDS) >= LATER_KINDS, "none is named that there is not"


@pytest.mark.parametrize("check", CHECKS)
def test_a_checker(check: str) -> None:
    table = Path("docs/how-to/storm-your-panel.md").read_text()
    assert re.search(rf"^\| {check} \| .+ \|$", table, re.M), "a line of the table"
    if check not in ON_ANY_PANEL:
        assert f'"{check}"' in text_of("tests/storm"), "a mutant or a test that it notices"
