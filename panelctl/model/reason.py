"""Why a circuit is as it is: the codes that the core sets and everybody else reads."""

from __future__ import annotations

from enum import IntEnum


class State(IntEnum):
    """What the controller may do, from how well it can see the mains."""

    HOLD = 0  # also the state at start: compute to its floor, nothing closes
    NORMAL = 1
    DEGRADED = 2  # some reading is old: nothing is raised on it
    SHED = 3  # blind for long: managed circuits go to their declared safe state


class Reason(IntEnum):
    """Why a relay is where it is, or a set-point as low as it is."""

    NONE = 0  # closed, or at the most it asks for
    LIMIT = 1  # the import limit of the named leg, by so many mA
    USER = 2  # a user opened it
    FOUND_OPEN = 3  # it was open when the controller started
    BLIND = 4  # the mains could not be read
    WELDED = 5  # told to open, still closed or still carrying current
    STUCK_OPEN = 6  # told to close, still open
    IGNORES_BUDGET = 7  # the load draws more than its set-point allows
    RAMP = 8  # on its way up
    UNREAD = 9  # its relay has not been read back yet
    STALE = 10  # its own meter is not read
    GAVE_WAY = 11  # opened so that a circuit of an earlier tier could close
    BACKUP = 12  # off the grid with a battery that runs low
    HOT = 13  # its own breaker was warm, or about to trip
    REFUSED_OPEN = 14  # its relay board refused the order to open
    REFUSED_CLOSE = 15  # its relay board refused the order to close
    MOVED = 16  # its relay was moved by somebody else, or its board started anew


class Wait(IntEnum):
    """What an open circuit waits for before panelctl closes it again."""

    NONE = 0
    MIN_OFF = 1  # its minimum off time
    NO_ROOM = 2  # so many mA are missing on the named leg
    STEADY = 3  # room is there; it must stay there for a while
    STAGED = 4  # another circuit was restored just now
    MAKING_ROOM = 5  # the compute load is giving way for it
    BLIND = 6  # its meter or relay cannot be read
    COOLING = 7  # its own breaker has to cool down
    WORN = 8  # its relay moved too often lately
