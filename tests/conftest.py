"""One profile of Hypothesis for every test: a busy machine makes none red. And who runs what, where
tests wait for whole panels and for wires, many at a time (`--dist loadgroup`).
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

settings.register_profile("panelctl", deadline=None)
settings.load_profile("panelctl")

# Their tests share a panel and a broker: one worker takes such a file.
SHARED = ("tests/e2e/test_mqtt.py", "tests/e2e/test_mqtt_tls.py")
# What runs a whole panel for each test, the longest first.
PANELS = ("tests/contract/test_foreign_boards.py", "tests/e2e/")


class Waiting(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Every test by itself, but for those of a shared file."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file in SHARED else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Waiting | None:
    """Who gets which test."""
    return Waiting(config, log) if config.getoption("dist") == "loadgroup" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mix those that run a panel among those that only wait: not all of them at once."""
    if config.getoption("dist", "no") != "loadgroup":
        return
    panels = [item for name in PANELS for item in items if item.nodeid.startswith(name)]
    others = [item for item in items if not item.nodeid.startswith(PANELS)]
    places = {item: place for part in (panels, others) for item, place in _evenly(part)}
    items.sort(key=places.__getitem__)


def _evenly(items: Sequence[pytest.Item]) -> list[tuple[pytest.Item, float]]:
    return [(item, (n + 0.5) / len(items)) for n, item in enumerate(items)]
