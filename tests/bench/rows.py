"""Rows of build/bench.json, and the machine they were measured on."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One figure. `target` is a number that `value` has to keep (see `ok`), or None."""

    name: str
    value: float
    unit: str
    target: float | None
    ok: bool
    n: int
    note: str


def at_most(name: str, value: float, unit: str, target: float, n: int, note: str) -> Row:
    """A figure that must not be above its target."""
    return Row(name, round(value, 6), unit, target, value <= target, n, note)


def at_least(name: str, value: float, unit: str, target: float, n: int, note: str) -> Row:
    """A figure that must not be below its target."""
    return Row(name, round(value, 6), unit, target, value >= target, n, note)


def reported(name: str, value: float, unit: str, n: int, note: str) -> Row:
    """A figure without a target."""
    return Row(name, round(value, 6), unit, None, True, n, note)


def quantile(values: Sequence[float], q: float) -> float:
    """The q-quantile of the values (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def machine() -> str:
    """The machine in words."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return (
        f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def page(path: Path) -> str:
    """The docs page of the figures in `path`."""
    lines = [
        "# Performance",
        "",
        "Written by `python -m tests.bench --docs` from what `make bench` measured. Ratios are",
        f"taken in one run, side by side. Machine: {machine()} (a virtual machine, shared).",
        "",
        "| figure | value | target | n | what |",
        "|---|---|---|---|---|",
    ]
    for row in json.loads(path.read_text()):
        target = "" if row["target"] is None else f"{row['target']:g}"
        missed = "" if row["ok"] else " **missed**"
        lines.append(
            f"| `{row['name']}` | {row['value']:.4g} {row['unit']}{missed} | {target} | {row['n']} "
            f"| {row['note']} |"
        )
    return "\n".join(lines) + "\n"


def write(path: Path, rows: list[Row]) -> None:
    """Write the rows, replacing those of the same names; others stay."""
    kept: list[dict[str, object]] = []
    if path.is_file():
        names = {row.name for row in rows}
        kept = [row for row in json.loads(path.read_text()) if row["name"] not in names]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept + [asdict(row) for row in rows], indent=1) + "\n")
