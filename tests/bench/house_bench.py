"""The house itself: rules that stand once, decide what they decided before, and are no slower for
it; and how long the tests take.

What is compared with is the version that made the recording of tests/baseline, built beside.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from tests.baseline.__main__ import RECORDED, decided, differences
from tests.bench.rows import Row, at_most

ROUNDS = 15
BEFORE = Path("build/before")
RULES = sorted(Path("panelctl/core/decide").glob("*.py"))
BOTH_WAYS = {"serve"}  # asks the ladder, of which there are two on purpose
MEASURE = """
import time
from statistics import median
from tests.bench.core_bench import _show, panel_of_48
from panelctl.core.engine import Engine
engine, now_ns, took = Engine(panel_of_48()), 1_000_000_000, []
for n in range(1500):
    _show(engine, n, now_ns)
    begin = time.perf_counter_ns()
    engine.step(now_ns)
    took.append(time.perf_counter_ns() - begin)
    now_ns += 50_000_000
print(median(took))
"""


def house_rows() -> list[Row]:
    """All rows of this module but the tests' time."""
    return [twin_row(), longest_row(), before_row(), *differ_rows()]


def _functions(path: Path) -> list[ast.FunctionDef]:
    tree = ast.parse(path.read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def twin_row() -> Row:
    """Functions of Cython's that are named as a rule is: their lines."""
    rules = {function.name for path in RULES for function in _functions(path)} - BOTH_WAYS
    lines = 0
    for path in Path("ext/panelctl/core").glob("*.p[xy][xi]"):
        if path.stem in ("_ladder", "_water"):
            continue
        inside = False
        for line in path.read_text().splitlines():
            if (found := re.match(r"cdef .*?\b_?(\w+)\(", line)) is not None:
                inside = found[1] in rules
            lines += inside
    note = f"of {len(rules)} rules in {len(RULES)} files; the ladder is written twice as a proof"
    return at_most("house.twin_lines", lines, "lines", 0, len(rules), note)


def longest_row() -> Row:
    """The longest rule."""
    sizes = {
        f"{path.stem}.{function.name}": (function.end_lineno or 0) - function.lineno + 1
        for path in RULES
        for function in _functions(path)
    }
    name = max(sizes, key=lambda each: sizes[each])
    return at_most("house.longest_function", sizes[name], "lines", 70, len(sizes), name)


def before_row() -> Row:
    """A whole step of 48 circuits against that of the version that made the recording."""
    _build_before()
    ratios = []
    for _ in range(ROUNDS):
        before, now = (_step_ns(folder) for folder in (BEFORE, Path()))
        ratios.append(now / before)
    note = f"median of {ROUNDS} rounds in turn; the last took {now / 1000:.1f} us"
    return at_most("house.step_vs_before", median(ratios), "x", 1.05, ROUNDS, note)


def _build_before() -> None:
    """The version that added the recording, checked out and compiled."""
    added = ["git", "log", "--diff-filter=A", "--format=%H", "--", str(RECORDED.resolve())]
    commit = subprocess.check_output(added, text=True).split()[-1]
    if not (BEFORE / "setup.py").exists():
        subprocess.run(["git", "worktree", "prune"], check=True)
        command = ["git", "worktree", "add", "--force", "--detach", str(BEFORE), commit]
        subprocess.run(command, check=True, capture_output=True)
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(command, check=True, cwd=BEFORE, capture_output=True)


def _step_ns(folder: Path) -> float:
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, '.')\n{MEASURE}"]
    return float(subprocess.check_output(command, cwd=folder, text=True))


def differ_rows() -> list[Row]:
    """Everything decided again."""
    then, now = json.loads(RECORDED.read_text()), decided()
    found = differences(then, now)
    steps, storms = then["steps"], len(then["storms"])
    what = "of the engine on 500 panels, counted in blocks of 50"
    homes = f"whole applications for 150 s; and {found['homes']} of {len(then['homes'])} homes"
    return [
        at_most("house.steps_differ", found["steps"], "steps", 0, steps, what),
        at_most("house.storms_differ", found["storms"], "storms", 0, storms, homes),
    ]


def test_seconds_row() -> Row:
    """`make test` after `make setup`."""
    begin_s = time.perf_counter()
    subprocess.run(["make", "test"], check=True, stdout=subprocess.DEVNULL)
    took_s = time.perf_counter() - begin_s
    return at_most("test.seconds", took_s, "s", 600, 1, "make test, everything set up before")
