"""Compiles what the benchmark alone needs, into build/bench: the plain C ladder, the timed loop
over the compiled core, and a larger build of the core's own source.
"""

from __future__ import annotations

import ctypes
import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

OUT = Path("build/bench")
NATIVE = Path("tests/bench/native")
LARGE = ("-DPANELCTL_MAX_SEGMENTS=16384", "-DPANELCTL_MAX_ROWS=4096")


def plain_c() -> ctypes.CDLL:
    """tests/bench/native/ladder.c as a shared library."""
    OUT.mkdir(parents=True, exist_ok=True)
    target = OUT / "libladder.so"
    subprocess.run(
        ["gcc", "-O3", "-shared", "-fPIC", "-o", target, NATIVE / "ladder.c"], check=True
    )
    return ctypes.CDLL(str(target.resolve()))


def extension(source: Path, name: str, flags: tuple[str, ...] = (), folder: str = "") -> ModuleType:
    """A Cython module `name` built from `source` and loaded; `flags` go to the C compiler."""
    place = OUT / folder
    place.mkdir(parents=True, exist_ok=True)
    c_file, target = place / f"{source.stem}.c", place / f"{source.stem}.so"
    directives = ["cdivision=True", "boundscheck=False", "wraparound=False"]
    subprocess.run(
        [sys.executable, "-m", "cython", "-3", "-I", "ext", str(source), "-o", str(c_file)]
        + ["--module-name", name]
        + [part for directive in directives for part in ("-X", directive)],
        check=True,
    )
    include = sysconfig.get_paths()["include"]
    subprocess.run(
        ["gcc", "-O3", "-w", "-shared", "-fPIC", f"-I{include}", *flags, "-o", target, c_file],
        check=True,
    )
    spec = importlib.util.spec_from_file_location(name, target.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def timed_loop() -> Any:
    """The module with `many`, over the panel's own build of the core."""
    return extension(NATIVE / "timed.pyx", "timed")


def large_core() -> Any:
    """The core's own source, built for 16,384 segments on 4,096 rows."""
    return extension(Path("ext/panelctl/core/_ladder.pyx"), "panelctl.core._ladder", LARGE, "large")
