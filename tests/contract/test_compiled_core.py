"""What the compiled core promises of itself: its rules are the written ones, no Python inside."""

from __future__ import annotations

import importlib
import re
from array import array
from pathlib import Path

import pytest

from panelctl.config.load import read_panel
from panelctl.core._core import Core as Compiled
from panelctl.core.decide.interpreted import Core as Interpreted
from panelctl.core.engine import Engine
from panelctl.core.ladder import reference
from panelctl.core.state import layout
from panelctl.core.state.layout import Changing, Fixed
from panelctl.core.state.scratch import SCRATCH
from tests.bench.house_bench import twin_row
from tests.contract.generated_c import ROOT, c_source
from tests.records import DEMO
from tools.rules import MODULES, rules_source

# Of the CPython API, of its own run-time and of allocation; in Cython's C each has such a name.
FOREIGN = re.compile(r"\b(Py[A-Z_]\w*|__Pyx_\w+|_Py\w+|malloc|calloc|realloc|free|alloca)\b")


def functions(source: Path) -> dict[str, str]:
    """The bodies of the C functions that Cython made of cdef functions, by name."""
    bodies = {}
    text = source.read_text()
    for found in re.finditer(r"^static [^;\n]*\b(__pyx_f_\w+)\([^;{]*\) \{$", text, re.MULTILINE):
        end = text.index("\n}\n", found.end())
        body = re.sub(r"/\*.*?\*/", "", text[found.end() : end], flags=re.DOTALL)
        bodies[found.group(1)] = body
    return bodies


@pytest.mark.parametrize(("name", "entry"), [("_ladder", "_ladder_serve"), ("_core", "_core_step")])
def test_no_python_object_and_no_allocation_inside(name: str, entry: str, tmp_path: Path) -> None:
    bodies = functions(c_source(f"panelctl.core.{name}", tmp_path))
    todo = [function for function in bodies if function.endswith(entry)]
    assert len(todo) == 1
    reached = set(todo)
    while todo:
        body = bodies[todo.pop()]
        for called in bodies:
            if called not in reached and re.search(rf"\b{called}\b|->{called}\b", body):
                reached.add(called)
                todo.append(called)
    assert len(reached) >= (6 if name == "_ladder" else 25), sorted(reached)
    for function in sorted(reached):
        assert not FOREIGN.findall(bodies[function]), function


def test_the_compiled_rules_are_those_of_the_package() -> None:
    """Nobody tests one and ships the other."""
    made = (ROOT / "build/rules/_rules.pxi").read_text()
    assert made == rules_source()
    struct = made.partition("cdef struct Memory:")[2]
    fields = re.findall(r"^    cells (\w+)$", struct, re.MULTILINE)
    assert fields[:3] == ["value", "quality", "sampled_ns"]
    fixed = [f"f_{name}" for name in Fixed.names]
    changing = [f"s_{name}" for name in Changing.names]
    assert fields[3:] == fixed + changing + [f"x_{name}" for name in SCRATCH]


def test_a_core_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its memory was laid out otherwise: it would read and write anywhere."""
    engine = Engine(read_panel(DEMO))
    names = (*Changing.names[1:], Changing.names[0])
    monkeypatch.setattr(Changing, "names", names)
    with pytest.raises(RuntimeError, match="build it anew"):
        Compiled(engine.fixed, engine.state, array("q"), array("q"), array("q"))


def test_the_interpreted_rules_are_read_from_their_text() -> None:
    """A compiled module beside the text would be taken in its place, and C tested against C."""
    for name in (*MODULES, "serve", "cells", "interpreted"):
        module = importlib.import_module(f"panelctl.core.decide.{name}")
        assert module.__file__ == str(ROOT / f"panelctl/core/decide/{name}.py")
    assert Interpreted.step.__code__.co_filename == str(
        ROOT / "panelctl/core/decide/interpreted.py"
    )


def test_the_two_ladders_have_room_for_as_much() -> None:
    """Their sizes are written twice, as the ladder is."""
    folder = Path("ext/panelctl/core")
    text = (folder / "_ladder.pxd").read_text() + (folder / "_ladder.pyx").read_text()
    for name in ("MAX_SEGMENTS", "MAX_ROWS", "MAX_NODES"):
        (size,) = re.findall(
            rf"(?:#define PANELCTL_{name} |^    {name} = )(\d+)$", text, re.MULTILINE
        )
        assert int(size) == getattr(reference, name), name
    (entries,) = re.findall(
        r"#define PANELCTL_MAX_ENTRIES \((\d+) \* PANELCTL_MAX_SEGMENTS\)", text
    )
    assert int(entries) * reference.MAX_SEGMENTS == reference.MAX_ENTRIES
    assert reference.MAX_ROWS == layout.MAX_ROWS


def test_no_rule_stands_twice() -> None:
    assert twin_row().value == 0
