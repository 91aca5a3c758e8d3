"""The stubs of what is native say what the compiled modules have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.contract.generated_c import NATIVE

# An `__init__` that a Cython class has not been given takes anything.
ALLOWED = r"panelctl\.sim\.plant\.Contact\.__init__"
# Its classes cannot be mixed, which a stub for 3.11 has no word for.
DISJOINT = "is a disjoint base at runtime, but isn't marked with @disjoint_base in the stub"


def test_stubs_and_modules_agree(tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.write_text(ALLOWED)
    command = [sys.executable, "-m", "mypy.stubtest", "--concise", "--ignore-missing-stub"]
    command += ["--ignore-positional-only", "--ignore-unused-allowlist"]
    checked = subprocess.run(
        [*command, "--allowlist", str(allowed), *NATIVE],
        capture_output=True,
        text=True,
        check=False,
    )
    said = checked.stdout.splitlines()
    assert [line for line in said if not line.endswith(DISJOINT)] == [], checked.stderr
    assert said or checked.returncode == 0, checked.stderr
