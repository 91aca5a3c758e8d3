"""The cases of fixtures/cases, and how they are made anew after a change that is meant.

`python -m tests.cases` runs the storms that they are parts of, and makes each of them again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from panelctl.case.make import make_case
from panelctl.case.part import Part
from panelctl.config.load import read_panel_and_text
from panelctl.link.recording import open_recording
from panelctl.sim.storm.run import run
from panelctl.sim.storm.strike import Strike

FOLDER = Path("fixtures/cases")
DEMO = Path("panelctl/sim/demo.toml")


@dataclass(frozen=True)
class Night:
    """A storm on the demo's panel, and the part of it that was bad, s."""

    seed: int
    span_s: float
    strikes: tuple[Strike, ...]
    part: Part


NIGHTS = {
    # A tight envelope comes, everything wants to run, and for a while the mains are lost.
    "tight_envelope": Night(
        6,
        60.0,
        (
            Strike(20.0, 35.0, "limit_tight", "panel", 0.5),
            Strike(24.0, 12.0, "all_on", "panel", 0.5),
            Strike(40.0, 4.0, "lost", "mains", 1.0),
        ),
        Part(18.0, 52.0),
    ),
}


def record(night: Night, file: Path) -> None:
    """The recording of such a night."""
    with open_recording(file) as tape:
        run(
            *read_panel_and_text(DEMO), night.seed, night.span_s, [*night.strikes], 0.0, record=tape
        )


def main() -> None:
    """Make all cases anew."""
    FOLDER.mkdir(exist_ok=True)
    for name, night in NIGHTS.items():
        case = FOLDER / f"{name}.jsonl.gz"
        case.unlink(missing_ok=True)
        with TemporaryDirectory() as folder:
            file = Path(folder) / "night.jsonl"
            record(night, file)
            make_case(file, case, night.part, lambda what, records: None)


if __name__ == "__main__":
    main()
