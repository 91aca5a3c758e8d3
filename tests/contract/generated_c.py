"""The C that Cython makes of the modules of ext/, for tests that read it or build it otherwise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path.relative_to(ROOT / "ext") for path in (ROOT / "ext").rglob("*.pyx"))


def c_source(module: Path, folder: Path) -> Path:
    """The C of a module of ext/, made into `folder` with setup.py's directives."""
    name = module.with_suffix("").as_posix().replace("/", ".")
    target = folder / f"{name}.c"
    command = [sys.executable, "-m", "cython", "-3", "-I", "ext", "-I", "build/rules"]
    for directive in ("cdivision=True", "boundscheck=False", "wraparound=False"):
        command += ["-X", directive]
    command += ["-X", "initializedcheck=False", "--module-name", name]
    subprocess.run([*command, f"ext/{module}", "-o", str(target)], check=True, cwd=ROOT)
    return target
