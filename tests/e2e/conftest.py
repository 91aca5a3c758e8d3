"""The panel rig as a fixture: one for each test, or one for a whole file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.rig import PanelRig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[PanelRig]:
    """The demo's panel with the real controller, settled."""
    yield from _settled(tmp_path)


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PanelRig]:
    """The same, shared by the tests of a file."""
    yield from _settled(tmp_path_factory.mktemp("panel"))


def _settled(folder: Path) -> Iterator[PanelRig]:
    made = PanelRig(folder)
    try:
        made.start()
        made.settle()
        yield made
    finally:
        made.stop()
