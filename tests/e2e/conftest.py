"""The panel rig as a fixture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.rig import PanelRig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[PanelRig]:
    """The demo's panel with the real controller, settled."""
    made = PanelRig(tmp_path)
    try:
        made.start()
        made.settle()
        yield made
    finally:
        made.stop()
