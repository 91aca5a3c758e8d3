"""How unkind the simulated world is, and whether a rule that is missing would be noticed."""

from __future__ import annotations

import re
import subprocess
import sys

from panelctl.sim.storm.faults import DRAWN, KINDS
from tests.bench.rows import Row, at_least, at_most

MUTATIONS = "tests/storm/test_mutations.py"


def world_rows() -> list[Row]:
    """`world.fault_kinds` and `world.mutants_missed`."""
    by_name = len(KINDS) - len(DRAWN)
    kinds = f"of which {by_name} are drawn only where they are named"
    command = [sys.executable, "-m", "pytest", MUTATIONS, "-q", "-p", "no:randomly", "-n", "2"]
    told = subprocess.run(command, capture_output=True, text=True).stdout
    passed, failed = (
        int(found[1]) if (found := re.search(rf"(\d+) {word}", told)) else 0
        for word in ("passed", "failed")
    )
    missed = failed if passed + failed else 1
    note = "controllers with a rule switched off, each in a storm that the whole one passes"
    return [
        at_least("world.fault_kinds", len(KINDS), "kinds", 80, len(KINDS), kinds),
        at_most("world.mutants_missed", missed, "mutants", 0, passed + failed, note),
    ]
