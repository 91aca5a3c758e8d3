"""How many of the kept small recordings the importer of recorded homes gets wrong."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.rows import Row, at_most
from tests.homes.kept import cases, wrong


def homes_rows() -> list[Row]:
    """`campaign.import_failures`: read otherwise than is right, or refused in other words."""
    failed = []
    kept = cases()
    for case in kept:
        with TemporaryDirectory(prefix="panelctl-") as folder:
            if wrong(case, Path(folder)):
                failed.append(case.name)
    kinds = len({case.name.partition(":")[0] for case in kept})
    note = f"small recordings of {kinds} kinds, each read as is right or refused in words"
    note += f"; wrong: {', '.join(failed)}" if failed else ""
    return [at_most("campaign.import_failures", len(failed), "recordings", 0, len(kept), note)]
