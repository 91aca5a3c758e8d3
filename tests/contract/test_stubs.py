"""The stubs of what is native say what the compiled modules have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.contract.generated_c import NATIVE

# Cython's classes cannot be mixed (`disjoint base`), which a stub for 3.11 has no word for; and an
# `__init__` that it has not been given takes anything.
ALLOWED = r"""
panelctl\.[a-z_.]+\.[A-Z][A-Za-z]*
panelctl\.sim\.plant\.Contact\.__init__
"""


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
    assert checked.returncode == 0, checked.stdout + checked.stderr
