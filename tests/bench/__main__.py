"""`python -m tests.bench`: measure, print the table, write build/bench.json.

Exit code 1 when a target is missed. `--seconds 60` shortens the two runs of the controller, which
take ten minutes each otherwise; `--only core` (or `house`, `homes`, `waist`, `bus`, `vices`,
`orders`, `storm`, `world`, `run`, `serve`) omits others. `--only test` measures how long `make
test` takes, and is never done unasked. `--docs` measures nothing and writes
docs/reference/performance.md from the last build/bench.json.
"""

from __future__ import annotations

import argparse
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.bench.bus_bench import bus_rows
from tests.bench.core_bench import step_rows
from tests.bench.homes_bench import homes_rows
from tests.bench.house_bench import house_rows, test_seconds_row
from tests.bench.mismatch import mismatch_rows
from tests.bench.orders_bench import orders_rows
from tests.bench.panel48 import panel48_rows
from tests.bench.rows import Row, machine, page, write
from tests.bench.run_bench import run_rows
from tests.bench.serve_bench import serve_rows
from tests.bench.solve_bench import solve_rows
from tests.bench.storm_bench import storm_rows
from tests.bench.vice_bench import vice_rows
from tests.bench.waist_bench import waist_rows
from tests.bench.world_bench import world_rows

OUT = Path("build/bench.json")
PARTS = (
    *("core", "house", "homes", "waist", "bus", "vices", "orders", "storm", "world", "run"),
    "serve",
)
PAGE = Path("docs/reference/performance.md")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--only", choices=[*PARTS, "test"])
    parser.add_argument("--docs", action="store_true", help="only write the docs page")
    options = parser.parse_args()
    if options.docs:
        PAGE.write_text(page(OUT))
        print(f"{OUT} written into {PAGE}")
        return
    parts: dict[str, Callable[[], list[Row]]] = {
        "core": lambda: solve_rows() + step_rows() + mismatch_rows(),
        "house": house_rows,
        "homes": homes_rows,
        "bus": lambda: bus_rows() + panel48_rows(options.seconds),
        "vices": vice_rows,
        "orders": orders_rows,
        "storm": storm_rows,
        "world": world_rows,
        "run": lambda: run_rows(options.seconds),
        "serve": serve_rows,
        "waist": waist_rows,
        "test": lambda: [test_seconds_row()],
    }
    rows: list[Row] = []
    broken: list[str] = []
    print(machine())
    for name, part in parts.items():
        if options.only == name or (options.only is None and name in PARTS):
            print(f"measuring {name} …", flush=True)
            try:
                rows += part()
            except Exception:  # what was measured before is written all the same
                traceback.print_exc()
                broken.append(name)
            write(OUT, rows)
    for row in rows:
        target = "" if row.target is None else f"target {row.target:g}"
        missed = "" if row.ok else "  MISSED"
        print(f"{row.name:<32} {row.value:>12.4g} {row.unit:<12} {target:<14} n={row.n}{missed}")
        print(f"    {row.note}")
    print(f"written to {OUT}")
    if broken:
        print(f"broken off: {', '.join(broken)}")
    if broken or not all(row.ok for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
