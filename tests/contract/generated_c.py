"""The C that Cython makes of the compiled modules, for tests that read it or build it otherwise."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NATIVE = {
    ".".join(path.relative_to(ROOT / "ext").with_suffix("").parts): path.relative_to(ROOT)
    for path in sorted((ROOT / "ext").rglob("*.pyx"))
}
# Plain text that is compiled under another name: `panelctl.modbus._crc` of modbus/crc_text.py.
TEXTS = {
    re.sub(r"(\w+)_text$", r"_\1", ".".join(path.relative_to(ROOT).with_suffix("").parts)): (
        path.relative_to(ROOT)
    )
    for path in sorted((ROOT / "panelctl").rglob("*_text.py"))
}
MODULES = NATIVE | TEXTS
# The tests, by name, that run nothing compiled, or nothing compiled that others do not run as well.
NOTHING_COMPILED = {
    *("alone", "config", "ebus_tree", "envelope", "files", "map_file", "map_pages", "orders"),
    *("protocol", "report", "retained", "rule_maker", "services", "shadow", "snapshot"),
    *("supervisor", "why"),
}
DIRECTIVES = [
    "cdivision=True",
    "boundscheck=False",
    "wraparound=False",
    "initializedcheck=False",
    "annotation_typing=False",
]


def c_source(name: str, folder: Path) -> Path:
    """The C of a module, made into `folder` with setup.py's directives."""
    target = folder / f"{name}.c"
    command = [sys.executable, "-m", "cython", "-3", "-I", "ext", "-I", "build/rules"]
    for directive in DIRECTIVES:
        command += ["-X", directive]
    command += ["--module-name", name, str(MODULES[name]), "-o", str(target)]
    subprocess.run(command, check=True, cwd=ROOT)
    return target
