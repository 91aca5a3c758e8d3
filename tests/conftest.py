"""One profile of Hypothesis for every test: a busy machine makes none red."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("panelctl", deadline=None)
settings.load_profile("panelctl")
