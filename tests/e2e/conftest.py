"""The panel rig as a fixture: one for each test, or one for a whole file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.rig import PanelRig


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of a file share a panel and a broker: one worker takes them, in their order. Two
    that would disturb each other are of one group by their own mark.
    """
    for item in items:
        if item.path.parent == Path(__file__).parent and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.path.name))


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
