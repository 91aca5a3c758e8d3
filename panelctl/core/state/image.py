"""The process image: one slot a reading, filled by the field, latched before every decision.

Rules
- A slot holds an integer value in the unit of its name, a quality, and the time its reply arrived.
- The field writes into `next_*`; `latch()` copies all of it at once, so a decision never sees half
  a block. The arrays never move: the cores keep views of them.
- No reading ever becomes zero because it is missing: a slot keeps its last value, its quality and
  its age say what that is worth.
"""

from __future__ import annotations

from array import array

from panelctl.model.metering import Quality

GOOD = int(Quality.GOOD)  # an enumeration's member is looked up slowly, and this is done often


class Image:
    """Flat memory of `slots` readings. Values are int64, qualities `Quality`, times ns."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.slot = {name: index for index, name in enumerate(names)}
        if len(self.slot) != len(names):
            raise ValueError("two slots have one name")
        zero = bytes(8 * len(names))
        self.value = array("q", zero)
        self.quality = array("q", zero)
        self.sampled_ns = array("q", zero)
        self.next_value = array("q", zero)
        self.next_quality = array("q", zero)
        self.next_sampled_ns = array("q", zero)
        self._pairs = tuple(
            (memoryview(now), memoryview(following))
            for now, following in (
                (self.value, self.next_value),
                (self.quality, self.next_quality),
                (self.sampled_ns, self.next_sampled_ns),
            )
        )

    def put(self, slot: int, value: int, quality: int, sampled_ns: int) -> None:
        """Write a reading into the next image. One that is not GOOD leaves the last value."""
        if quality == GOOD:
            self.next_value[slot] = value
        self.next_quality[slot] = quality
        self.next_sampled_ns[slot] = sampled_ns

    def latch(self) -> None:
        """Make the next image the present one."""
        for now, following in self._pairs:
            now[:] = following

    def good(self, slot: int, now_ns: int, stale_ns: int) -> bool:
        """Whether the latched reading of a slot is good and no older than `stale_ns`."""
        return (
            slot >= 0 and self.quality[slot] == GOOD and now_ns - self.sampled_ns[slot] <= stale_ns
        )
