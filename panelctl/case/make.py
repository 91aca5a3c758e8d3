"""A part of a recording as a case: decided again on the same panel without names, and written down.

The recording is replayed up to the part and through it. From there a second engine, whose panel has
neutral names and whose memory is the first one's, decides the same readings and commands: what the
case holds of decisions, and every text in it, is made by that one. At the end both have to stand
where they decide the same; then the file is read again, replayed, and looked through for anything
of the house. A file that fails is not left.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from panelctl.case.leaks import Leaks, told
from panelctl.case.names import Names, left_out, strings_in
from panelctl.case.panel_file import check_maps, neutral_file
from panelctl.case.part import Part
from panelctl.case.words import words_of
from panelctl.config.load import parse_panel
from panelctl.control.describe import describe_panel
from panelctl.control.replay import FIELD_EVENTS, Again, difference, replay
from panelctl.control.start import Start
from panelctl.control.store import Kept
from panelctl.core.checkpoint import same, with_hours_moved
from panelctl.errors import ConfigError, Problem
from panelctl.link.recording import Recording, header, line_of, open_recording, read_recording
from panelctl.model.panel import Panel
from panelctl.model.record import CycleRecord, HelloRecord
from panelctl.units import NS_PER_S

DAY_S = 86_400
FIRST_DAY_S = 978_307_200  # 2001-01-01: every case begins on that day
ACCOUNTS: Final = ("links", "units", "orders")  # of the wires, which decide nothing
Progress = Callable[[str, int], None]  # what is done, and how many records it has come to


@dataclass(frozen=True, slots=True)
class Made:
    """A case that was written: records and cycles, where they lie in the recording (s), bytes as
    they are and unpacked; and what was given another name, and what was left out, how often.
    """

    file: str
    records: int
    cycles: int
    from_s: float
    to_s: float
    bytes: int
    renamed: dict[str, int]
    left_out: dict[str, int]


def make_case(source: Path, case: Path, part: Part, progress: Progress) -> Made:
    """Make a case of a part of a recording. Raises ConfigError where it cannot be made or would
    tell whose it is, and OSError; then there is no file.
    """
    recording = read_recording(source)
    plain = _tables(recording.hello["config"], source)
    check_maps(plain, f"panel file in {source}")
    panel = parse_panel(recording.hello["config"], f"panel file in {source}")
    names = Names(plain, _said(source))
    names.hide(_serials(recording.hello))
    work = _Work(source, recording, panel, names, neutral_file(plain, names), progress)
    new = case.with_name(f".new-{case.name}")  # the same ending: it tells whether it is packed
    new.unlink(missing_ok=True)
    try:
        with open_recording(new) as file:
            work.write(file, part)
        work.verify(new)
        if case.exists():
            raise FileExistsError(f"{case}: is there already, and is not replaced")
        new.rename(case)
    finally:
        new.unlink(missing_ok=True)
    return work.made(case)


class _Work:
    """One case while it is made."""

    def __init__(
        self,
        source: Path,
        recording: Recording,
        panel: Panel,
        names: Names,
        config: str,
        progress: Progress,
    ) -> None:
        self._source, self._recording = source, recording
        self._names, self._config, self._progress = names, config, progress
        self._house = Again(panel, recording.hello, recording.memory)
        self._words = words_of(panel)
        self._case: Again | None = None
        self._later_s = 0  # what wall times are moved by
        self._records, self._cycles = 0, 0
        self._from_s = self._to_s = 0.0
        self._texts: set[str] = set()
        self._left_out: Counter[str] = Counter()

    def write(self, file: IO[bytes], part: Part) -> None:
        """Replay the recording through the part, and write the case."""
        first_ns: int | None = None
        for number, record in enumerate(self._recording.records, 1):
            first_ns = record["t_ns"] if first_ns is None else first_ns
            at_s = (record["t_ns"] - first_ns) / NS_PER_S
            if part.over(at_s):
                break
            if part.begun(at_s):
                if self._case is None:
                    self._from_s = at_s
                    self._case = self._begin(file, record)
                self._put(file, self._case, record)
                self._to_s = at_s
            else:
                self._decide(record)
            self._progress("replaying", number)
        if self._case is None:
            last_s = 0.0 if first_ns is None else at_s
            remedy = f"holds no record in that part: it goes from 0 to {last_s:.1f} s"
            raise ConfigError(str(self._source), [Problem("", "", remedy)])
        if not same(self._house.engine, self._case.engine):
            raise self._refused("its memory and the case's are not the same at the end")

    def _begin(self, file: IO[bytes], record: CycleRecord) -> Again:
        """The first line, and the engine that decides the case."""
        shadow = self._recording.hello["shadow"]
        self._later_s = FIRST_DAY_S - int(record["wall_s"] // DAY_S) * DAY_S
        memory = self._house.memory
        whole: dict[str, Any] = with_hours_moved(memory["engine"], self._later_s * NS_PER_S)
        sources = whole["limits"]["sources"]
        neutral = {name: self._names.source(text) for name, text in sources.items()}
        memory["engine"] = {**whole, "limits": {**whole["limits"], "sources": neutral}}
        start = Start(Kept(), record["t_ns"], record["wall_s"] + self._later_s)
        panel = shown = parse_panel(self._config, "the panel file of the case")
        if not any(circuit["armed"] for circuit in self._recording.hello["circuits"]):
            shown = panel.disarmed()
        hello = describe_panel(shown, self._config, start, shadow)
        case = Again(panel, hello, memory)
        if case.engine.fixed.dump() != self._house.engine.fixed.dump():
            raise self._refused("its panel and the case's are not decided on alike")
        file.write(header(hello, memory))
        return case

    def _put(self, file: IO[bytes], case: Again, record: CycleRecord) -> None:
        """One record of the part."""
        names = self._names
        commands = [names.command(command) for command in record["commands"]]
        before = case.cycles
        self._decide(record)
        made = case.decide(record, commands)
        made["wall_s"] = round(record["wall_s"] + self._later_s, 3)
        wires = [event for event in record["events"] if event["what"] in FIELD_EVENTS]
        made["events"] += [names.event(event) for event in wires]
        texts = {text for text in left_out(record) if text}
        names.hide(texts)
        self._texts |= texts
        for key in ACCOUNTS:
            self._left_out[key] += bool(record[key])
        file.write(line_of(made))
        self._records += 1
        self._cycles += case.cycles - before

    def _decide(self, record: CycleRecord) -> None:
        """Decide a record of the recording again, which has to come out as it is there."""
        found = difference(record, self._house.decide(record))
        if found is not None:
            raise self._refused(
                f"record {found.seq} of it comes out otherwise in {found.key}: it was decided by "
                "another version of panelctl, and only that version can make a case of it "
                "(panelctl replay shows the difference)"
            )

    def _refused(self, why: str) -> ConfigError:
        return ConfigError(
            str(self._source), [Problem("", "", f"no case can be made of it: {why}")]
        )

    def verify(self, new: Path) -> None:
        """Replay what was written, and look for anything of the house in it. Raises ConfigError."""
        written = read_recording(new)
        panel = parse_panel(written.hello["config"], "the panel file of the case")
        leaks = Leaks(self._names.secret, self._names.neutral, self._words)
        found = set(leaks.head(written))
        looked = Recording(written.hello, self._looked_at(written, leaks, found), written.memory)
        again = replay(panel, looked)
        if again.difference is not None:
            seq, key = again.difference.seq, again.difference.key
            raise self._refused(f"record {seq} of the case comes out otherwise in {key}")
        if found:
            remedy = (
                "would be left in the case, which is not written: rename it in the panel file "
                "and report this, without the recording"
            )
            raise ConfigError(str(self._source), [Problem("of the house", told(found), remedy)])

    def _looked_at(
        self, written: Recording, leaks: Leaks, found: set[str]
    ) -> Iterator[CycleRecord]:
        for number, record in enumerate(written.records, 1):
            found.update(leaks.record(record))
            self._progress("verifying", number)
            yield record

    def made(self, case: Path) -> Made:
        """What came of it."""
        return Made(
            file=str(case),
            records=self._records,
            cycles=self._cycles,
            from_s=round(self._from_s, 3),
            to_s=round(self._to_s, 3),
            bytes=case.stat().st_size,
            renamed={kind: n for kind, n in self._names.told.items() if n},
            left_out={"texts": len(self._texts), **self._left_out},
        )


def _tables(config: str, source: Path) -> dict[str, Any]:
    """The panel file of a recording, as tables. Raises ConfigError."""
    file = f"panel file in {source}"
    parse_panel(config, file)
    return tomllib.loads(config)


def _said(source: Path) -> Iterator[str]:
    """What people and programs called things: ids and sources of commands, and of limits that a
    part of a recording begins with.
    """
    recording = read_recording(source)
    if recording.memory is not None:
        yield from strings_in(recording.memory)
    for record in recording.records:
        for command in record["commands"]:
            yield from strings_in({**command, "do": ""})


def _serials(hello: HelloRecord) -> list[str]:
    """The serial numbers of devices that were known at the start."""
    kept = hello["start"].get("kept")
    serials = kept.get("serials") if isinstance(kept, dict) else None
    return [str(serial) for serial in serials.values()] if isinstance(serials, dict) else []
