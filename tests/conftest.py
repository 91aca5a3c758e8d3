"""One profile of Hypothesis for every test: a busy machine makes none red. And who runs what, where
tests wait for whole panels and for wires, many at a time (`--dist loadgroup`).
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

settings.register_profile("panelctl", deadline=None)
settings.load_profile("panelctl")

# Their tests share a panel and a broker: one worker takes such a file.
SHARED = ("tests/e2e/test_mqtt.py", "tests/e2e/test_mqtt_tls.py")


class Waiting(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Every test by itself, but for those of a shared file.

    The groups of xdist 3.8 have no effect with pytest 9.2, whose `nodeid` is not what they set.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file in SHARED else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Waiting | None:
    """Who gets which test."""
    return Waiting(config, log) if config.getoption("dist") == "loadgroup" else None
