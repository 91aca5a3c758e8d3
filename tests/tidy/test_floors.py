"""Who may import whom: imports point down, and wings do not know each other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

FLOOR = {
    "errors": 0,
    "units": 0,
    "clock": 0,
    "pure": 0,
    "files": 1,
    "model": 1,
    "core": 2,
    "modbus": 2,
    "config": 2,
    "field": 3,
    "link": 3,
    "control": 4,
    "services": 5,
    "report": 5,
    "case": 5,
    "sim": 5,
    "cli": 6,
    "__main__": 6,
}
# Rooms of one floor that may know another of the same floor; every other pair may not.
BESIDE = {("config", "modbus"), ("__main__", "cli"), ("units", "errors"), ("model", "errors")}
# What the outside world may be used for, by room; the standard library is free above floor 0.
OUTSIDE = {
    "pymodbus": {"field", "sim"},
    "serial": {"field"},
    "pydantic": {"config", "modbus"},
    "pydantic_core": {"modbus"},
    "typing_extensions": {"model", "config"},
    "click": {"cli"},
    "orjson": {"link", "control", "cli"},
    "rich": {"cli"},
    "sdnotify": {"link"},
    "aiomqtt": {"services"},
    "paho": {"services"},
    "starlette": {"services"},
    "uvicorn": {"cli"},
    "zeroconf": {"services"},
    "ifaddr": {"services"},
    "prometheus_client": {"services"},
    "cryptography": {"services"},
    "numpy": {"report"},
}
FILES = sorted([*Path("panelctl").rglob("*.py"), *Path("ext/panelctl").rglob("*.p[xy][xdi]")])
COMPILED = re.compile(r"\s*(?:from\s+([\w.]+)\s+c?import\b|c?import\s+([\w.]+))")


def imports(path: Path) -> list[tuple[str, int]]:
    if path.suffix != ".py":  # not Python to ast
        lines = enumerate(path.read_text().split("\n"), 1)
        hits = [(COMPILED.match(line), number) for number, line in lines]
        return [(hit[1] or hit[2], number) for hit, number in hits if hit]
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}:{node.lineno}: write imports out in full"
            found.append((node.module, node.lineno))
    return found


def room_of(path: Path) -> str:
    """The room that a file stands in; compiled ones stand under ext/."""
    parts = path.parts[1:] if path.parts[0] == "ext" else path.parts
    return parts[1].removesuffix(".py")


def room(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_point_down(path: Path) -> None:
    mine = room_of(path)
    if mine == "__init__":
        return
    for name, line in imports(path):
        if name.split(".")[0] != "panelctl" or name == "panelctl":
            continue
        other = room(name)
        if other in ("", mine) or (mine, other) in BESIDE:
            continue
        assert FLOOR[other] < FLOOR[mine], f"{path}:{line}: {mine} may not import {other}"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_each_library_has_its_room(path: Path) -> None:
    mine = room_of(path)
    for name, line in imports(path):
        top = name.split(".")[0]
        if top in OUTSIDE:
            assert mine in OUTSIDE[top], f"{path}:{line}: {top} belongs to {OUTSIDE[top]}"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_clock_and_loop_have_their_floors(path: Path) -> None:
    """Time is asked for in `clock` alone, and nothing below the field wing knows asyncio."""
    mine = room_of(path)
    for name, line in imports(path):
        if name in ("time", "datetime") and mine not in ("clock", "cli", "sim", "services"):
            raise AssertionError(f"{path}:{line}: take the injected clock instead of {name}")
        if name.startswith("asyncio") and FLOOR.get(mine, 9) < 3 and path.name != "child.py":
            raise AssertionError(f"{path}:{line}: floors 0 to 2 are synchronous")
        unrepeatable = (
            "random",
            "secrets",
            "threading",
            "multiprocessing",
            "uuid",
            "concurrent.futures",
        )
        if name == "threading" and mine == "files":
            continue  # no decision waits for it or reads what it writes; storms write at once
        if name in unrepeatable and mine not in ("sim", "cli", "services"):
            raise AssertionError(f"{path}:{line}: {name} makes a run unrepeatable")


def test_the_running_controller_stays_small() -> None:
    """`panelctl run` loads neither the checker of panel files, nor a web stack, nor numpy."""
    import subprocess
    import sys

    code = (
        "import sys, panelctl.cli.run, panelctl.control.app, panelctl.field.timing\n"
        "import panelctl.control.realtime, panelctl.config.child\n"
        "bad = {'pydantic', 'numpy', 'rich', 'aiomqtt', 'starlette', 'panelctl.sim'}\n"
        "print(sorted(bad & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
