"""Nobody reads the controller's records as a bare dictionary, and renaming a key of one is an error
that mypy finds.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.bench.waist_bench import any_readers, slot_strings, unnoticed

ROOMS = ["services", "cli", "sim", "link", "control", "model", "case"]


@pytest.mark.parametrize("room", ROOMS)
def test_nobody_takes_a_bare_dictionary_for_a_record(room: str) -> None:
    found = [
        f"{path}:{line}: {name}"
        for path in sorted(Path("panelctl", room).rglob("*.py"))
        for name, line in any_readers(ast.parse(path.read_text()))
    ]
    assert found == [], "take CycleRecord, or what of it is needed (model/record.py)"


def test_what_is_found() -> None:
    text = """
Plain = dict[str, Any]
def a(record: dict[str, Any]) -> None: ...
def b(event: Plain) -> None: ...
def c(self, hello: Mapping[str, Any] | None) -> None: ...
def d(circuits: list[dict[str, Any]]) -> None: ...
def e(x: int) -> tuple[CycleRecord, dict[str, Any]]: ...
class F:
    hello: Any
def g(setup: dict[str, Any]) -> CycleRecord: ...
"""
    found = sorted(any_readers(ast.parse(text)), key=lambda pair: pair[1])
    assert [name for name, _ in found] == ["record", "event", "hello", "circuits", "hello"]


def test_renaming_any_key_of_a_record_is_an_error() -> None:
    assert unnoticed() == []


def test_slots_are_named_in_one_file() -> None:
    assert slot_strings() == []
