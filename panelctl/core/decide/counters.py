"""What the energy counters counted, and what they say about the currents that were read.

Rules
- A total never falls, and is the meter's own count for as long as that goes on.
- A count that goes back, or on by more than could have flowed, is believed with a second reading
  that goes on from it. What lies between is not counted, but where so much can have flowed since
  the counter last moved; of a counter that began again (it wrapped round, or was reset), what it
  shows is.
- Energy is at most volts times amps. Over a kilowatt-hour and more, what was counted is held
  against the currents; what was not read counts on neither side. Currents that are too small for it
  are marked IMPLAUSIBLE (ENERGY) until as much agrees, or for ten minutes, and for twice as long
  each time that it comes back. A counter that is too small for the watts that were read is one that
  stands still (STILL): people are told, nothing is decided on it.
- A current and a counter of one device come from one transformer: its ratio does not show in here.
"""

from __future__ import annotations

from panelctl.core.decide.arith import floordiv, magnitude
from panelctl.core.decide.cells import Cells
from panelctl.core.decide.words import fresh
from panelctl.model.metering import Quality
from panelctl.units import NS_PER_MS, NS_PER_S

ENERGY_LOOK_NS = 1_062 * NS_PER_MS  # no heater is switched in bursts of this period
STRETCH_WH = 1_000
ENOUGH = 4  # a stretch of so many times the tolerance tells that counter and currents agree
LONGEST = 20  # a stretch of so many times the tolerance ends undecided, and the next one begins
ENERGY_LATCH_NS = 600 * NS_PER_S  # a house in HOLD draws so little that nothing might ever agree
ENERGY_MOST_NS = 4 * 3600 * NS_PER_S
STILL_WH = 5_000  # some meters renew their counters once in a quarter of an hour
TOLERANCE_WH = 250  # besides the largest step that the counter was seen to take
COARSE_MA = 1_000  # some meters show whole amps, cut off
TOLERANCE_DIVISOR = 4  # meters, nominal volts and skew: a quarter
MW_MS_PER_WH = 3_600_000_000
MOST_MW_MS = 1 << 61  # a century of a whole service
HOUR_NS = 3600 * NS_PER_S


def judge_energy(m: Cells, now_ns: int) -> None:
    """Count, compare, and mark the currents that are in doubt in the latched image."""
    if now_ns - m.s_energy_looked_ns[0] >= ENERGY_LOOK_NS:
        m.s_energy_looked_ns[0] = now_ns
        for c in range(m.f_counters[0]):
            count(m, c)
        for k in range(m.f_items[0]):
            add_total(m, k)
            if m.s_item_known[k]:
                compare(m, k, now_ns)
    for k in range(m.f_items[0]):
        if m.s_item_energy[k]:
            for e in range(m.f_item_amps_first[k], m.f_item_amps_end[k]):
                slot = m.f_item_amps_slot[e]
                if m.quality[slot] == Quality.GOOD:
                    m.quality[slot] = Quality.IMPLAUSIBLE


def count(m: Cells, c: int) -> None:
    """Take a counter's reading, if there is a new one."""
    slot = m.f_counter_slot[c]
    at_ns = m.sampled_ns[slot]
    if at_ns != m.s_count_seen_ns[c] and m.quality[slot] == Quality.GOOD:
        m.s_count_seen_ns[c] = at_ns
        if not take_count(m, c, m.value[slot], at_ns):
            m.quality[slot] = Quality.IMPLAUSIBLE


def take_count(m: Cells, c: int, raw_wh: int, at_ns: int) -> bool:
    """Count a reading. False when it is not believed yet."""
    before_wh = m.s_count_raw_wh[c]
    odd_wh = m.s_count_odd_wh[c]
    if not m.s_count_known[c]:
        m.s_count_total_wh[c] = max(raw_wh, 0)
    elif flows(m, c, raw_wh - before_wh, at_ns - m.s_count_raw_ns[c]):
        m.s_count_total_wh[c] += raw_wh - before_wh
    elif not m.s_count_odd[c] or not flows(m, c, raw_wh - odd_wh, at_ns - m.s_count_odd_ns[c]):
        m.s_count_odd[c] = 1
        m.s_count_odd_wh[c] = raw_wh
        m.s_count_odd_ns[c] = at_ns
        return False
    elif raw_wh < before_wh and flows(m, c, raw_wh, at_ns - m.s_count_raw_ns[c]):
        m.s_count_total_wh[c] += raw_wh
    elif flows(m, c, raw_wh - before_wh, at_ns - m.s_count_moved_ns[c]):
        m.s_count_total_wh[c] += raw_wh - before_wh  # it moves in lumps
    else:
        m.s_count_total_wh[c] += raw_wh - odd_wh
    if raw_wh != before_wh or not m.s_count_known[c]:
        m.s_count_moved_ns[c] = at_ns
    m.s_count_known[c] = 1
    m.s_count_raw_wh[c] = raw_wh
    m.s_count_raw_ns[c] = at_ns
    m.s_count_odd[c] = 0
    return True


def flows(m: Cells, c: int, wh: int, in_ns: int) -> bool:
    """Whether so much can have flowed in that time."""
    if wh < 0:
        return False
    hours = floordiv(in_ns, HOUR_NS)  # watts times a day's nanoseconds would leave int64
    rest_wh = floordiv(m.f_counter_most_w[c] * (in_ns - hours * HOUR_NS), HOUR_NS)
    return wh <= TOLERANCE_WH + m.f_counter_most_w[c] * hours + rest_wh


def add_total(m: Cells, k: int) -> None:
    """What the mains or a circuit have drawn, once each of their counters is known."""
    total_wh = 0
    for e in range(m.f_item_counter_first[k], m.f_item_counter_end[k]):
        c = m.f_item_counter[e]
        if not m.s_count_known[c]:
            return
        total_wh += m.s_count_total_wh[c]
    m.s_item_known[k] = 1
    m.s_item_total_wh[k] = m.f_item_factor[k] * total_wh


def compare(m: Cells, k: int, now_ns: int) -> None:
    """Go on with the stretch of the mains or a circuit in which counters are held against currents.
    It begins anew with the counters' next readings where something was not read.
    """
    passed_ns = now_ns - m.s_item_at_ns[k]
    m.s_item_at_ns[k] = now_ns
    if passed_ns > m.f_branch_stale_ns[0] or not item_read(m, k, now_ns):
        m.s_item_waits[k] = 1
        m.s_item_since_ns[k] = now_ns
    total_wh = m.s_item_total_wh[k]
    if m.s_item_waits[k]:
        for e in range(m.f_item_counter_first[k], m.f_item_counter_end[k]):
            if m.s_count_seen_ns[m.f_item_counter[e]] <= m.s_item_since_ns[k]:
                return
        m.s_item_waits[k] = 0
        m.s_item_before_wh[k] = total_wh
        return
    moved_wh = total_wh - m.s_item_before_wh[k]
    m.s_item_before_wh[k] = total_wh
    m.s_item_counted_wh[k] += moved_wh
    m.s_item_step_wh[k] = max(m.s_item_step_wh[k], moved_wh)
    flow(m, k, floordiv(passed_ns, NS_PER_MS))
    judge_item(m, k, moved_wh > 0, now_ns)


def item_read(m: Cells, k: int, now_ns: int) -> bool:
    """Whether all currents and powers of the mains or a circuit are read."""
    for e in range(m.f_item_amps_first[k], m.f_item_amps_end[k]):
        if not fresh(m, m.f_item_amps_slot[e], m.f_branch_stale_ns[0], now_ns):
            return False
    for e in range(m.f_item_watts_first[k], m.f_item_watts_end[k]):
        if not fresh(m, m.f_item_watts_slot[e], m.f_branch_stale_ns[0], now_ns):
            return False
    return True


def flow(m: Cells, k: int, passed_ms: int) -> None:
    """What volts times amps, and the watts, add up to meanwhile."""
    watts = 0
    for e in range(m.f_item_watts_first[k], m.f_item_watts_end[k]):
        watts += m.value[m.f_item_watts_slot[e]]
    watts *= m.f_item_watts_factor[k]
    if not m.f_item_mains[k]:  # a source's watts are below 0, and it counts what it gives
        watts = magnitude(watts)
    if watts < 0:
        return  # the import's counter stands still while the mains export
    ma = 0
    for e in range(m.f_item_amps_first[k], m.f_item_amps_end[k]):
        ma += magnitude(m.value[m.f_item_amps_slot[e]]) + COARSE_MA
    apparent = ma * m.f_item_volts[k] * passed_ms
    m.s_item_apparent[k] = min(m.s_item_apparent[k] + apparent, MOST_MW_MS)
    m.s_item_drawn[k] = min(m.s_item_drawn[k] + watts * 1000 * passed_ms, MOST_MW_MS)


def judge_item(m: Cells, k: int, moved: bool, now_ns: int) -> None:
    """ENERGY and STILL."""
    if now_ns >= m.s_item_until_ns[k]:
        m.s_item_energy[k] = 0
    counted_wh = m.s_item_counted_wh[k]
    tolerance_wh = TOLERANCE_WH + m.s_item_step_wh[k]
    apparent_wh = floordiv(m.s_item_apparent[k], MW_MS_PER_WH)
    drawn_wh = floordiv(m.s_item_drawn[k], MW_MS_PER_WH)
    if drawn_wh > counted_wh + floordiv(counted_wh, TOLERANCE_DIVISOR) + max(
        tolerance_wh, STILL_WH
    ):
        m.s_item_still[k] = 1
        m.s_item_energy[k] = 0  # then it says nothing about the currents either
        begin_stretch(m, k)
    elif moved and counted_wh >= STRETCH_WH:
        m.s_item_still[k] = 0
        sure_wh = counted_wh if m.f_item_whole[k] else floordiv(counted_wh, 2)
        enough = ENOUGH if m.s_item_energy[k] else LONGEST
        if sure_wh > apparent_wh + floordiv(apparent_wh, TOLERANCE_DIVISOR) + tolerance_wh:
            m.s_item_energy[k] = 1
            m.s_item_until_ns[k] = now_ns + m.s_item_latch_ns[k]
            m.s_item_latch_ns[k] = min(2 * m.s_item_latch_ns[k], ENERGY_MOST_NS)
            begin_stretch(m, k)
        elif counted_wh >= tolerance_wh * enough:
            m.s_item_energy[k] = 0
            begin_stretch(m, k)


def begin_stretch(m: Cells, k: int) -> None:
    """A new stretch."""
    m.s_item_counted_wh[k] = 0
    m.s_item_step_wh[k] = 0
    m.s_item_apparent[k] = 0
    m.s_item_drawn[k] = 0
