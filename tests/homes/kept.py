"""The kept set of small recordings: `kept/*.toml` has each with its home file and what is right.

A case has the text of `x.csv` (and of others in `more`), of the home file, and either `refused`,
words that must stand in the error, or what is read: `span_s`, watts `at` times for each circuit,
and words that must stand in the notes (`says`). `encoding`, `gz` and `ends` say how the file is
written.
"""

from __future__ import annotations

import gzip
import tomllib
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from panelctl.config.load import read_panel
from panelctl.errors import ConfigError
from panelctl.model.circuit import Circuit, Source, SourceKind
from panelctl.model.panel import Panel
from panelctl.sim.homes.read import read_home
from panelctl.sim.homes.recorded import Home
from panelctl.sim.plant import Plant

KEPT = Path(__file__).with_name("kept")
PANEL = Path("fixtures/panels/home_100a.toml")
NEAR_W = 1e-6
NEAR_S = 1e-6


@dataclass(frozen=True, slots=True)
class Case:
    """One small recording."""

    name: str
    csv: str
    home: str
    more: dict[str, str] = field(default_factory=dict)
    encoding: str = "utf-8"
    ends: str = "\n"
    gz: bool = False
    refused: tuple[str, ...] = ()
    span_s: float = 0.0
    at: dict[str, list[list[float]]] = field(default_factory=dict)
    says: tuple[str, ...] = ()
    silent: bool = False  # nothing was left out, nothing is unknown


def cases() -> list[Case]:
    """All of them, each with the kind it is of before its name."""
    found = []
    for path in sorted(KEPT.glob("*.toml")):
        for plain in tomllib.loads(path.read_text())["case"]:
            name = f"{path.stem}: {plain.pop('name')}"
            for key in ("refused", "says"):
                plain[key] = tuple(plain.get(key, ()))
            found.append(Case(name, **plain))
    return found


@cache
def panel() -> Panel:
    """A home with PV and a battery beside its loads."""
    given = read_panel(PANEL)
    load = next(circuit for circuit in given.circuits if circuit.id == "dryer")
    sources = (_source(load, "pv", SourceKind.PV), _source(load, "battery", SourceKind.BATTERY))
    return replace(given, circuits=(*given.circuits, *sources))


def _source(load: Circuit, name: str, kind: SourceKind) -> Circuit:
    return replace(load, id=name, name=name, source=Source(kind, 0.0, 60.0))


def write(case: Case, folder: Path) -> Path:
    """Write its files; the path of the home file."""
    for name, text in {"x.csv": case.csv, **case.more}.items():
        plain = text.replace("\n", case.ends).encode(case.encoding)
        (folder / name).write_bytes(gzip.compress(plain, mtime=0) if case.gz else plain)
    home = folder / "home.toml"
    home.write_text(case.home)
    return home


def wrong(case: Case, folder: Path) -> list[str]:
    """What of the case is not as it should be; nothing when all is."""
    path = write(case, folder)
    try:
        home = read_home(path, Plant.of(panel()))
    except ConfigError as error:
        told = str(error)
        if not case.refused:
            return [f"refused: {told}"]
        return [f"does not say {words!r}: {told}" for words in case.refused if words not in told]
    if case.refused:
        return ["read, and should be refused"]
    return _misread(case, home)


def _misread(case: Case, home: Home) -> list[str]:
    found = []
    circuits = [series.circuit for series in home.series]
    if sorted(circuits) != sorted(case.at):
        found.append(f"drives {circuits}")
    if not abs(home.span_s - case.span_s) <= NEAR_S:
        found.append(f"is {home.span_s} s long")
    for series in home.series:
        if series.at_s[0] != 0 or list(series.at_s) != sorted(set(series.at_s)):
            found.append(f"{series.circuit}: its times do not grow from 0: {list(series.at_s)}")
        for at_s, watts in case.at.get(series.circuit, []):
            if not abs(series.at(at_s) - watts) <= NEAR_W:
                found.append(f"{series.circuit} draws {series.at(at_s)} W at {at_s} s, not {watts}")
    told = "\n".join(notes.words() for notes in home.notes)
    found += [f"does not say {words!r}: {told}" for words in case.says if words not in told]
    if case.silent and ("left out" in told or "unknown" in told or "blank" in told):
        found.append(f"complains: {told}")
    return found
