"""What is shipped: a wheel that imports without a compiler, built from a complete sdist."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.contract.generated_c import MODULES


@pytest.mark.slow
def test_wheel_from_sdist(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(tmp_path), "."],
        capture_output=True,
        text=True,
        timeout=400,
        env=os.environ | {"PANELCTL_OPTIMISED": "-O0"},
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    sdist = next(tmp_path.glob("*.tar.gz"))
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    sources = {path.as_posix() for path in Path("ext").rglob("*.p*") if path.is_file()}
    assert sources <= names
    assert "panelctl/modbus/maps/carlo_gavazzi_em540.toml" in names
    wheel = next(tmp_path.glob("*.whl"))
    assert "cp311-abi3" in wheel.name, "one wheel for CPython 3.11 and every later one"
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    for source in (name for name in sources if name.endswith(".pyx")):
        module = source.removeprefix("ext/").removesuffix(".pyx")
        assert f"{module}.abi3.so" in held
        assert f"{module}.pyi" in held
    for name in MODULES:
        assert f"{name.replace('.', '/')}.abi3.so" in held
    for needed in (
        "panelctl/py.typed",
        "panelctl/sim/demo.toml",
        "panelctl/sim/story.toml",
        "panelctl/modbus/maps/panelctl_node.toml",
    ):
        assert needed in held
    assert not any(name.endswith((".pyx", ".c")) for name in held)
