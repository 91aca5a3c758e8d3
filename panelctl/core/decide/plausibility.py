"""Which readings of the mains cannot be true, judged before anything is decided on them.

What one reading says by itself (its range, "not available") the field judges. Here it is held
against the ones before and against the branch circuits. A doubt marks the latched reading
IMPLAUSIBLE; no value is ever changed. The decision then sees a mains meter that grows old:
set-points only fall, and HOLD comes at `hold_s`.

Rules
- DROP: what a leg carries for others than the modulated loads, as the decision reads it, falls by
  much: believed with the second sample that says so. The mains fell, or a modulated load's own
  meter rose and the mains did not. One damaged frame in some 65,000 passes its checksum; what
  either would do is raise.
- ERRATIC: that happens again and again: what fell was back with the next sample. Two meters answer
  in turn, or a transformer has a bad contact. A fall then has to last for ERRATIC_HOLD_NS, so that
  the higher of the two counts; ends when for ERRATIC_NS nothing fell and came back.
- FROZEN: not one digit of the mains has changed for long, while the branch circuits have.
- BRANCHES: the branch circuits draw more than the mains carry, for long: a transformer of the wrong
  ratio or on the wrong leg, a meter that shows zero, or a source that the panel file does not name.
  Not judged where the panel has sources: there it may be true. What follows (HOLD) leaves little to
  compare, so the doubt stays for a minute, and for twice as long each time that it comes back.
- UNPROVEN: that doubt has ended by the clock, and nothing speaks for the mains yet. They are
  believed, but modulated loads get little more than their floor (`PROBE_MA`, limits/): so much that
  it shows on mains that work, and convicts mains that don't. Ends when for some seconds the mains
  carry about what the branch circuits draw, and that is enough to tell.
"""

from __future__ import annotations

from panelctl.core.decide.arith import floordiv, magnitude
from panelctl.core.decide.cells import Cells
from panelctl.core.doubt.fields import FALLS_KEPT
from panelctl.core.state.layout import LEG_ROWS
from panelctl.model.metering import Quality
from panelctl.units import NS_PER_S

ALIKE_MA = 5_000  # two samples that agree
ERRATIC_NS = 20 * NS_PER_S  # so many falls taken back within so long
ERRATIC_HOLD_NS = 2 * NS_PER_S
MOVED_MA = 3_000  # branch circuits that have moved
EXCESS_DIVISOR = 4  # branch sums may be a quarter above the mains: phases differ, vectors add up
EXCESS_MA = 5_000  # branch sums may besides be above the mains by so much
AGREE_DIVISOR = 4  # mains prove themselves within a quarter below the branch circuits' sum
AGREE_MA = 1_000  # mains prove themselves besides within so much below it
TELLS_MA = 6_000  # a branch sum of at least so much proves mains: zero would contradict it
PROVEN_NS = 5 * NS_PER_S  # mains agree for so long before they are proven; a branch counts 3 s
FAST_NS = NS_PER_S  # modulated loads above the mains for so long contradict them: one cycle
ALL_NS = 15 * NS_PER_S  # all circuits above the mains for so long: registers are renewed seldom
LATCH_NS = 60 * NS_PER_S
LATCH_MOST_NS = 3600 * NS_PER_S
LOOK_NS = NS_PER_S  # how often the branch circuits are added up
TOLD_NS = NS_PER_S  # not all is read in the first cycle
OLDEST_FALL = FALLS_KEPT - 1


def judge_mains(m: Cells) -> None:
    """Mark what cannot be true of the latched mains."""
    for leg in range(LEG_ROWS):
        slot = m.f_row_slot[leg]
        sampled_ns = m.sampled_ns[slot]
        if sampled_ns == m.s_leg_seen_ns[leg] or m.quality[slot] != Quality.GOOD:
            continue
        m.s_leg_seen_ns[leg] = sampled_ns
        judge_drop(m, leg, sampled_ns)
        if not m.f_sources[0]:
            judge_branches(m, leg, sampled_ns)
        if leg == 0:
            judge_frozen(m, sampled_ns)
    for leg in range(LEG_ROWS):
        slot = m.f_row_slot[leg]
        doubted = m.s_leg_drop[leg] or m.s_leg_frozen[leg] or m.s_leg_branches[leg]
        if doubted and m.quality[slot] == Quality.GOOD:
            m.quality[slot] = Quality.IMPLAUSIBLE


def judge_drop(m: Cells, leg: int, sampled_ns: int) -> None:
    """DROP and ERRATIC."""
    others_ma = magnitude(m.value[m.f_row_slot[leg]])
    power_slot = m.f_sign_slot[leg]
    if m.f_sources[0] and m.quality[power_slot] == Quality.GOOD and m.value[power_slot] < 0:
        others_ma = -others_ma
    for k in range(m.f_fast_first[leg], m.f_fast_end[leg]):  # one unread has not changed
        others_ma -= m.value[m.f_fast_slot[k]]
    m.s_leg_drop[leg] = 0
    believed_ns = m.s_leg_believed_ns[leg]
    known = believed_ns != 0 and sampled_ns - believed_ns <= m.f_fresh_ns[0]
    fell = m.s_leg_others_ma[leg] - others_ma > m.f_drop_ma[0]
    if fell and (known or m.s_leg_erratic[leg]) and not confirmed(m, leg, others_ma, sampled_ns):
        m.s_leg_drop[leg] = 1
        return
    if m.s_leg_falling[leg] and not fell:
        take_back(m, leg, sampled_ns)
    elif sampled_ns - m.s_leg_taken_back_ns[leg * FALLS_KEPT] > ERRATIC_NS:
        m.s_leg_erratic[leg] = 0
    m.s_leg_falling[leg] = 0
    m.s_leg_others_ma[leg] = others_ma
    m.s_leg_believed_ns[leg] = sampled_ns


def confirmed(m: Cells, leg: int, others_ma: int, sampled_ns: int) -> bool:
    """Whether a fall has been seen for long enough: twice, or ERRATIC_HOLD_NS."""
    first = not m.s_leg_falling[leg]
    alike = not first and magnitude(others_ma - m.s_leg_falling_ma[leg]) <= ALIKE_MA
    m.s_leg_falling[leg] = 1
    m.s_leg_falling_ma[leg] = others_ma
    if first or not (alike or m.s_leg_erratic[leg]):
        m.s_leg_falling_ns[leg] = sampled_ns
        return False
    return not m.s_leg_erratic[leg] or sampled_ns - m.s_leg_falling_ns[leg] >= ERRATIC_HOLD_NS


def take_back(m: Cells, leg: int, sampled_ns: int) -> None:
    """What had fallen is back: that was no load."""
    first = leg * FALLS_KEPT
    for k in range(OLDEST_FALL, 0, -1):
        m.s_leg_taken_back_ns[first + k] = m.s_leg_taken_back_ns[first + k - 1]
    m.s_leg_taken_back_ns[first] = sampled_ns
    oldest_ns = m.s_leg_taken_back_ns[first + OLDEST_FALL]
    if oldest_ns and sampled_ns - oldest_ns <= ERRATIC_NS:
        m.s_leg_erratic[leg] = 1


def judge_branches(m: Cells, leg: int, sampled_ns: int) -> None:
    """BRANCHES and UNPROVEN."""
    ma = magnitude(m.value[m.f_row_slot[leg]])
    most_ma = ma + floordiv(ma, EXCESS_DIVISOR) + EXCESS_MA
    add_up(m, leg, sampled_ns, most_ma)
    if too_much(m, leg, sampled_ns, most_ma):
        m.s_leg_unproven[leg] = 0
        if not m.s_leg_branches[leg]:
            proven_ns = m.s_leg_proven_ns[leg]
            if proven_ns and sampled_ns - proven_ns > LATCH_MOST_NS:
                m.s_leg_latch_ns[leg] = LATCH_NS
            m.s_leg_branches[leg] = 1
            m.s_leg_until_ns[leg] = sampled_ns + m.s_leg_latch_ns[leg]
            m.s_leg_latch_ns[leg] = min(2 * m.s_leg_latch_ns[leg], LATCH_MOST_NS)
    elif m.s_leg_branches[leg]:
        quiet = not m.s_leg_fast_since_ns[leg] and not m.s_leg_all_since_ns[leg]
        if quiet and sampled_ns >= m.s_leg_until_ns[leg]:
            m.s_leg_branches[leg] = 0
            m.s_leg_unproven[leg] = 1
            m.s_leg_agrees_since_ns[leg] = 0
    elif m.s_leg_unproven[leg]:
        prove(m, leg, ma, sampled_ns)
    weigh(m)


def weigh(m: Cells) -> None:
    """Whether modulated loads stay near their floor."""
    m.s_suspect[0] = 0
    for leg in range(LEG_ROWS):
        if m.s_leg_unproven[leg] or m.s_leg_branches[leg]:
            m.s_suspect[0] = 1


def add_up(m: Cells, leg: int, sampled_ns: int, most_ma: int) -> None:
    """What the branch circuits draw, and since when that has been too much."""
    fast_ma = 0
    since_ns = sampled_ns - m.f_fresh_ns[0]
    for k in range(m.f_fast_first[leg], m.f_fast_end[leg]):
        fast_ma += known_since(m, m.f_fast_slot[k], since_ns)
    if fast_ma <= most_ma:
        m.s_leg_fast_since_ns[leg] = 0
    elif m.s_leg_fast_since_ns[leg] == 0:
        m.s_leg_fast_since_ns[leg] = sampled_ns
        for k in range(m.f_fast_first[leg], m.f_fast_end[leg]):
            m.s_fast_then_ma[k] = m.value[m.f_fast_slot[k]]
    if sampled_ns - m.s_leg_looked_ns[leg] >= LOOK_NS:
        m.s_leg_looked_ns[leg] = sampled_ns
        total_ma = 0
        since_ns = sampled_ns - m.f_branch_stale_ns[0]
        for k in range(m.f_every_first[leg], m.f_every_end[leg]):
            total_ma += known_since(m, m.f_every_slot[k], since_ns)
        m.s_leg_branches_ma[leg] = total_ma
    if m.s_leg_branches_ma[leg] <= most_ma:
        m.s_leg_all_since_ns[leg] = 0
    elif m.s_leg_all_since_ns[leg] == 0:
        m.s_leg_all_since_ns[leg] = sampled_ns


def known_since(m: Cells, slot: int, since_ns: int) -> int:
    """What a circuit draws, mA, if it was read since then; else nothing is known of it."""
    if m.quality[slot] == Quality.GOOD and m.sampled_ns[slot] >= since_ns:
        return m.value[slot]
    return 0


def prove(m: Cells, leg: int, ma: int, sampled_ns: int) -> None:
    """Whether the mains have carried for long enough what the branch circuits draw."""
    drawn_ma = m.s_leg_branches_ma[leg]
    if drawn_ma < TELLS_MA or ma < drawn_ma - floordiv(drawn_ma, AGREE_DIVISOR) - AGREE_MA:
        m.s_leg_agrees_since_ns[leg] = 0
    elif m.s_leg_agrees_since_ns[leg] == 0:
        m.s_leg_agrees_since_ns[leg] = sampled_ns
    elif sampled_ns - m.s_leg_agrees_since_ns[leg] >= PROVEN_NS:
        m.s_leg_unproven[leg] = 0
        m.s_leg_proven_ns[leg] = sampled_ns


def too_much(m: Cells, leg: int, sampled_ns: int, most_ma: int) -> bool:
    """Whether the branch circuits have drawn more than the mains show for long enough."""
    all_ns = m.s_leg_all_since_ns[leg]
    if all_ns and sampled_ns - all_ns >= ALL_NS:
        return True
    fast_ns = m.s_leg_fast_since_ns[leg]
    if not fast_ns or sampled_ns - fast_ns < FAST_NS:
        return False
    alive_ma = 0
    since_ns = sampled_ns - m.f_fresh_ns[0]
    for k in range(m.f_fast_first[leg], m.f_fast_end[leg]):
        slot = m.f_fast_slot[k]
        # A register that is renewed every few seconds shows for so long what was.
        if m.value[slot] != m.s_fast_then_ma[k]:
            alive_ma += known_since(m, slot, since_ns)
    return alive_ma > most_ma


def judge_frozen(m: Cells, sampled_ns: int) -> None:
    """FROZEN."""
    if m.s_told_frozen[0]:
        if not m.s_told_ns[0]:
            m.s_told_ns[0] = sampled_ns
        m.s_told_frozen[0] = sampled_ns - m.s_told_ns[0] < TOLD_NS
        take_digits(m)
        m.s_still_since_ns[0] = sampled_ns
        return
    if take_digits(m):
        m.s_still_since_ns[0] = sampled_ns
        m.s_then_count[0] = 0
        for leg in range(LEG_ROWS):
            m.s_leg_frozen[leg] = 0
        return
    # A branch meter is seldom read, so what it shows first may have been before.
    if sampled_ns - m.s_still_since_ns[0] < m.f_branch_stale_ns[0]:
        return
    if not m.s_then_count[0]:
        note_branches(m, sampled_ns)
        return
    # One that is not read any more keeps its last value, and so has not moved.
    moved_ma = 0
    for k in range(m.f_watched[0]):
        if m.s_then_known[k]:
            moved_ma += m.value[m.f_watched_slot[k]] - m.s_then_ma[k]
    if magnitude(moved_ma) > MOVED_MA:
        for leg in range(LEG_ROWS):
            m.s_leg_frozen[leg] = 1


def take_digits(m: Cells) -> bool:
    """Note what the mains show; whether any digit of it is another than before."""
    moved = not m.s_digits_known[0]
    for leg in range(LEG_ROWS):
        ma = m.value[m.f_row_slot[leg]]
        watts = m.value[m.f_sign_slot[leg]]
        if ma != m.s_digit[leg] or watts != m.s_digit[LEG_ROWS + leg]:
            moved = True
        m.s_digit[leg] = ma
        m.s_digit[LEG_ROWS + leg] = watts
    m.s_digits_known[0] = 1
    return moved


def note_branches(m: Cells, sampled_ns: int) -> None:
    """What the branch circuits draw, as far as they are read, when the mains stand still."""
    since_ns = sampled_ns - m.f_branch_stale_ns[0]
    for k in range(m.f_watched[0]):
        slot = m.f_watched_slot[k]
        read = m.quality[slot] == Quality.GOOD and m.sampled_ns[slot] >= since_ns
        m.s_then_known[k] = read
        m.s_then_ma[k] = m.value[slot]
        if read:
            m.s_then_count[0] += 1
