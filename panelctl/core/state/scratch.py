"""What a step of the rules puts down for itself, and how many cells of each there are."""

from __future__ import annotations

from typing import Final

# What a step puts down for itself: nothing of it is read before it is written in the same step.
SCRATCH: Final = {
    "order": "load",  # the loads that the ladder serves, in order
    "key": "load",  # what they are sorted by
    "rank": "load",
    "size": "load",
    "worth": "load",
    "taken": "load",  # what the ladder gave
    "later": "load",  # who might give way,
    "way": "load",  # and who does
    "limit_coef": "load_row",
    "house": "row",  # what flows without the modulated loads
    "room": "row",
    "before": "row",  # the room before the ladder took from it
    "ahead": "row",  # what a node on its way down takes above its floor
    "least": "row",  # what one load can be brought down to
    "reserve": "row",  # kept free for loads on their way up
    "opening": "row",  # ordered open, not yet seen
    "margin": "row",
    "top": "row",
    "drawn": "row",
    "left": "row",
    "missing": "row",
    "setpoint_room": "row",
    "extra": "row",
}
