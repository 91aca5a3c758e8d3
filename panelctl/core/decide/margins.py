"""How much the household rises while we react: what rows with a hard limit keep free.

Its steps are counted per row and hour of the day, in bins of two an octave.
"""

from __future__ import annotations

from panelctl.core.decide.arith import floordiv
from panelctl.core.decide.cells import Cells
from panelctl.core.state.layout import HOURS, LEG_ROWS, STEP_BINS

HOUR_NS = 3_600_000_000_000
SEEN = 1 << 10  # what one observed step weighs in a bin
PRIOR = 2 * SEEN  # what the expected largest step weighs: 40 minutes of the hour outweigh it
FORGET_BITS = 4  # a bin loses a sixteenth each day
MARGIN_BITS = 2  # a margin is at most a quarter of the limit
TAIL_BITS = 10  # the margin is passed by one step in 2^10
TOP_BIN = STEP_BINS - 1
DAY = HOURS * STEP_BINS  # cells of a row


def bin_of(step_ma: int) -> int:
    """The bin of a step: two an octave."""
    if step_ma < 2:
        return 0
    octave = 0
    while step_ma >> (octave + 1):
        octave += 1
    return min(2 * octave + ((step_ma >> (octave - 1)) & 1), TOP_BIN)


def bin_top_ma(number: int) -> int:
    """The upper end of a bin, mA."""
    octave = number >> 1
    if octave == 0:
        return 2
    top_ma = 2 if number & 1 else 3
    return top_ma << (octave if number & 1 else octave - 1)


def learn(m: Cells, now_ns: int) -> None:
    """Count the household's step in a window that has ended, and set the margins."""
    for r in range(m.rows):
        m.s_window_top_ma[r] = max(m.s_window_top_ma[r], m.x_house[r])
    if now_ns - m.s_window_ns[0] < m.f_react_ns[0]:
        return
    hours = floordiv(now_ns + m.s_hour_offset_ns[0], HOUR_NS)
    hour = hours - floordiv(hours, HOURS) * HOURS
    for r in range(m.rows):
        if r < LEG_ROWS or m.s_hard[r]:
            learn_row(m, r, hour)
    m.s_hour[0] = hour
    m.s_window_ns[0] = now_ns
    m.s_disturbed[0] = 0
    for r in range(m.rows):
        m.s_window_from_ma[r] = m.x_house[r]
        m.s_window_top_ma[r] = m.x_house[r]


def learn_row(m: Cells, r: int, hour: int) -> None:
    """The step of one row in the window that has ended, and what its margin is then."""
    first = r * DAY + hour * STEP_BINS
    if m.s_hour[0] >= 0 and hour != m.s_hour[0]:
        for k in range(first, first + STEP_BINS):
            m.s_steps[k] -= m.s_steps[k] >> FORGET_BITS
    if m.s_window_ns[0] and not m.s_disturbed[0]:
        rise_ma = floordiv(m.s_window_top_ma[r] - m.s_window_from_ma[r], m.f_scale[r])
        m.s_steps[first + bin_of(rise_ma)] += SEEN
    # A clock that is wrong may call this hour a calm one: the whole day's holds at least.
    day_ma = max(margin(m, r, first, 1), margin(m, r, r * DAY, HOURS))
    m.s_margin_ma[r] = min(day_ma, m.s_limit_ma[r] >> MARGIN_BITS)


def margin(m: Cells, r: int, first: int, hours: int) -> int:
    """The step that one in 2^TAIL_BITS passes in these hours, mA; before much is known, the
    expected one.
    """
    expected = bin_of(m.f_prior_ma[r])
    total = PRIOR
    for k in range(first, first + hours * STEP_BINS):
        total += m.s_steps[k]
    above = 0
    for k in range(TOP_BIN, -1, -1):
        if k == expected:
            above += PRIOR
        for hour in range(hours):
            above += m.s_steps[first + hour * STEP_BINS + k]
        if above > total >> TAIL_BITS:
            return bin_top_ma(k)
    return 0
