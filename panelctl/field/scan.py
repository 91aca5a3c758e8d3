"""Meters into the image: one lane a link, side by side, none waiting for another (lane.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from panelctl.clock import Clock
from panelctl.core.state.image import Image
from panelctl.field.bus import BusLink
from panelctl.field.lane import Lane
from panelctl.field.report import Report
from panelctl.field.strangers import Identity
from panelctl.field.tasks import Tasks
from panelctl.field.unit import Unit
from panelctl.modbus.busplan import LinkPlan


class Scanner:
    """All lanes of a panel."""

    def __init__(
        self, plans: list[LinkPlan], links: dict[str, BusLink], image: Image, clock: Clock
    ) -> None:
        self.lanes = {
            plan.link.name: Lane(plan, links[plan.link.name], image, clock) for plan in plans
        }
        lanes = self.lanes.values()
        self._quick = [lane for lane in lanes if lane.plan.fast]
        self._units = {name: unit for lane in lanes for name, unit in lane.units.items()}
        self._identities = {name: who for lane in lanes for name, who in lane.identities.items()}
        self._tasks = Tasks()
        self.report = Report(self.lanes)

    def start(self) -> None:
        """Start one task a lane."""
        for name, lane in self.lanes.items():
            self._tasks.start(lane.run(), f"lane {name}")

    async def stop(self) -> None:
        """Stop the lanes, whatever they were doing."""
        await self._tasks.stop()

    async def read_fast(self, patience_s: float, until_ns: int) -> bool:
        """Read the fast lane of every link; False when some link took longer than `patience_s`.

        Such a link goes on by itself and joins again when it is through; the others are not held.
        """
        for lane in self.lanes.values():
            lane.begin(until_ns)
        try:
            async with asyncio.timeout(patience_s):
                for lane in self._quick:
                    await lane.fast_done.wait()
        except TimeoutError:
            return False
        return True

    def units(self) -> Mapping[str, Unit]:
        """Every unit by device name."""
        return self._units

    def identities(self) -> Mapping[str, Identity]:
        """Who every device is, by its name."""
        return self._identities

    def trusts(self, device: str) -> bool:
        """Whether the device that answers is the one that it was."""
        identity = self._identities.get(device)
        return identity is None or not (identity.stranger or identity.unsure)

    def known(self) -> dict[str, str]:
        """The serial numbers by device that have to outlive a restart."""
        return {name: who.known for name, who in self._identities.items() if who.known}

    def take_known(self, known: Mapping[str, str]) -> None:
        """Put back what `known()` gave out, before the first read."""
        for name, serial in known.items():
            if name in self._identities:
                self._identities[name].known = serial

    def accept(self, device: str) -> None:
        """A person says that the device that answers now is right."""
        if device in self._identities:
            self._identities[device].accept()

    def lane_of(self, device: str) -> Lane | None:
        """The lane that reads a device, if any reads it."""
        return next((lane for lane in self.lanes.values() if device in lane.units), None)

    def failed(self) -> BaseException | None:
        """The error that ended a lane's task, if one ended: a bug, not a fault of the field."""
        return self._tasks.failed
