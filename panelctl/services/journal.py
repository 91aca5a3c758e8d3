"""What the controller did, line by line in the log: every event of a record, with its fields.

The controller itself does not log them: a journal that is slow must not cost a cycle. A panel that
has more to tell than `MOST` events a second is at fault somewhere; the rest is counted, and told as
a number.
"""

from __future__ import annotations

import logging

from panelctl.model.record import CycleRecord
from panelctl.model.wording import event_text

LOG = logging.getLogger("panelctl.events")
MOST, WINDOW_S = 50, 10.0
LOUD = {"fault", "doubt", "order", "ignores"}


class Journal:
    """Logs the events of records. `skipped` were too many."""

    def __init__(self) -> None:
        self.skipped = 0
        self._window = 0
        self._told = 0
        self._late = 0

    def record(self, record: CycleRecord) -> None:
        """Log what this record tells."""
        if not record["events"]:
            return
        window = int(record["t_ns"] / 1e9 / WINDOW_S)
        if window != self._window:
            if self._late:
                LOG.warning("%d more events were not logged", self._late)
            self._window, self._told, self._late = window, 0, 0
        for event in record["events"]:
            if self._told >= MOST:
                self.skipped += 1
                self._late += 1
                continue
            self._told += 1
            level = logging.WARNING if event["what"] in LOUD else logging.INFO
            LOG.log(
                level,
                "%s",
                event_text(event, {}),
                extra={"fields": {**event, "seq": record["seq"]}},
            )
