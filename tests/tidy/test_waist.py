"""Nobody reads the controller's records as a bare dictionary, and renaming a key of one is an error
that mypy finds.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.waist_bench import WAIST, any_readers, keys, slot_strings, unnoticed

# What is asked of something of a record's name that is none: a map's `links`, a view's `limits`.
OTHERS = {"rtu", "OFF_GRID"}
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


def asked_for() -> Iterator[tuple[str, str]]:
    """Where, and by which key, something is asked of a record that it may not have: `.get("key")`
    and `"key" in record`, of which mypy says nothing.
    """
    for path in sorted(Path("panelctl").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                held, key = node.func.value, node.args[0] if node.args else None
                if node.func.attr != "get":
                    continue
            elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
                held, key = node.comparators[0], node.left
            else:
                continue
            name = ast.unparse(held).rpartition(".")[2]
            if (
                isinstance(key, ast.Constant)
                and isinstance(key.value, str)
                and WAIST.fullmatch(name)
            ):
                yield f"{path}:{node.lineno}", key.value


def test_what_is_asked_of_a_record_is_a_key_of_one() -> None:
    """A key that is renamed and still asked for by its old name would be missing for ever."""
    known = {key for _, key in keys()} | OTHERS
    asked = list(asked_for())
    assert len(asked) >= 60
    assert [f"{where}: {key}" for where, key in asked if key not in known] == []
