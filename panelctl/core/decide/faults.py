"""Relays that do not do as they are told: found, told of, and forgiven.

Rules
- A relay is judged only by what was sampled after its board acknowledged the order and
  `relay_confirm_ns` went by. A board that refuses says so itself; one that is silent is waited for,
  and once it is heard again it has that time again: it may have started anew.
- Current through an open relay is more than the circuit's own `noise_a`: transformers pick up a
  neighbour's. It counts once the relay still reads open after it: what somebody closed shows its
  current first.
- A relay that refuses to open is uncontrolled from its first refusal on: nothing is expected of it.
- A relay that had followed and is elsewhere was moved by somebody else, or its board started anew.
  What was opened is followed and comes back as after any shed; what was closed is opened again;
  after `moves_most` times within `moves_ns` it is left alone for as long.
- A fault of a relay ends when it is seen open and without current for `heal_ns`, twice as long
  after each time that it came back. What did not close is then tried again, and stays a fault for
  people until it has closed. What did not open is none any more: that is evidence, not proof, and
  the next current raises it again.
- A relay that somebody else moves again and again is at fault for `moves_ns` at least.
- A load that ignores its budget stays at fault until a person has looked at it.
"""

from __future__ import annotations

from panelctl.core.decide.cells import Cells
from panelctl.core.decide.words import explain, lower, order_open
from panelctl.core.state.layout import MODULATED
from panelctl.model.reason import Reason
from panelctl.model.relay import Claim
from panelctl.units import NS_PER_S

NEVER_NS = 1 << 61
REFUSALS = 2  # the first may be of a board that was busy
CALM_NS = 3600 * NS_PER_S  # a fault that comes back later is a new one
MOST_COUNT = 6  # so often a fault is counted: the time to heal doubles from one to the next


def refusals(m: Cells, i: int) -> int:
    """How often the board of load `i` refused its present order."""
    slot = m.f_refused_slot[i]
    if slot < 0 or not m.s_order_pending[i] or m.sampled_ns[slot] < m.s_order_ns[i]:
        return 0
    count = m.value[slot] if m.s_closed[i] else -m.value[slot]
    return max(0, count)


def told_ns(m: Cells, i: int) -> int:
    """When the relay was told its present order; in the far future while it may not know it.

    A relay that was found where it is, or has followed once, knows its order.
    """
    slot = m.f_acked_slot[i]
    if slot < 0 or not m.s_order_pending[i]:
        return m.s_order_ns[i]
    if m.sampled_ns[slot] < m.s_order_ns[i] or m.value[slot] != m.s_closed[i]:
        return NEVER_NS
    return m.sampled_ns[slot]


def carries(m: Cells, i: int, after_ns: int) -> bool:
    """Whether load `i` shows more current than an open relay leaves, sampled after that time."""
    for r in range(m.rows):
        k = i * m.rows + r
        slot = m.f_slot[k]
        if slot < 0 or m.sampled_ns[slot] <= after_ns:
            continue
        if m.s_meas_ma[k] > m.f_noise_ma[i]:
            return True
    return False


def judge_relay(m: Cells, i: int, seen: bool, position: int, now_ns: int) -> None:
    """A relay that was refused, has had its time and is elsewhere, or carries current.

    What is at fault for another reason may be welded besides.
    """
    if m.s_claims[i] & Claim.FAULT:
        known = m.s_fault[i] == Reason.WELDED or m.s_fault[i] == Reason.MOVED
        if known or m.f_heal_ns[0] == 0:
            return
    elif refusals(m, i) >= REFUSALS:
        fault(m, i, Reason.REFUSED_CLOSE if m.s_closed[i] else Reason.REFUSED_OPEN, now_ns)
        return
    if not seen:
        m.s_unheard_ns[i] = now_ns
    settled_ns = told_ns(m, i) + m.f_relay_confirm_ns[0]
    if m.f_moves_most[0]:  # a board that starts anew forgets what it acknowledged
        settled_ns = max(settled_ns, m.s_unheard_ns[i] + m.f_relay_confirm_ns[0])
    if now_ns <= settled_ns:
        return
    if seen and m.sampled_ns[m.f_relay_slot[i]] > settled_ns and position != m.s_closed[i]:
        if m.f_moves_most[0] and not m.s_order_pending[i]:
            moved(m, i, position, now_ns)
        else:
            fault(m, i, Reason.WELDED if position else Reason.STUCK_OPEN, now_ns)
    elif m.s_closed[i] == 0 and not m.s_stale[i]:
        # Where nobody asks who moved a relay (`moves_most` 0), nor when: by its order alone.
        by_order = m.f_moves_most[0] == 0
        # One that was told late, and is seen to have followed, has opened only then.
        late_ns = 0 if by_order else m.s_opened_ns[i] + m.f_relay_confirm_ns[0]
        if not carries(m, i, max(settled_ns, late_ns)):
            m.s_carried_ns[i] = 0
        elif by_order or still_open(m, i, now_ns):
            fault(m, i, Reason.WELDED, now_ns)


def still_open(m: Cells, i: int, now_ns: int) -> bool:
    """Whether the relay of load `i` still reads open, read after current was seen through it."""
    if m.s_carried_ns[i] == 0:
        m.s_carried_ns[i] = now_ns
    return m.sampled_ns[m.f_relay_slot[i]] > m.s_carried_ns[i]


def moved(m: Cells, i: int, position: int, now_ns: int) -> None:
    """Somebody else moved the relay of load `i`."""
    if now_ns - m.s_moves_ns[i] > m.f_moves_ns[0]:
        m.s_moves[i] = 0
        m.s_moves_ns[i] = now_ns
    m.s_moves[i] += 1
    if m.s_moves[i] > m.f_moves_most[0]:
        fault(m, i, Reason.MOVED, now_ns)
    elif position:
        m.s_opened_ns[i] = now_ns
        m.s_order_ns[i] = now_ns
        m.s_order_pending[i] = 1
    else:
        m.s_claims[i] |= Claim.PCS
        m.s_room_since_ns[i] = 0
        order_open(m, i, now_ns)
        m.s_opening[i] = 0  # it is open
        if m.f_kind[i] == MODULATED:
            lower(m, i, 0)
        explain(m, i, Reason.MOVED, -1, 0, now_ns, now_ns + m.f_min_off_ns[i])


def rests(m: Cells, i: int) -> None:
    """What somebody opened rests from when its board was told as well: it may have closed again."""
    slot = m.f_acked_slot[i]
    if slot >= 0 and m.s_reason[i] == Reason.MOVED and m.s_closed[i] == 0 and not m.value[slot]:
        m.s_opened_ns[i] = max(m.s_opened_ns[i], m.sampled_ns[slot])


def note_fault(m: Cells, i: int, reason: int, now_ns: int) -> None:
    """What people are told, whatever else holds load `i` open."""
    if now_ns - m.s_fault_ns[i] > CALM_NS:
        m.s_fault_count[i] = 0
    m.s_fault_count[i] = min(m.s_fault_count[i] + 1, MOST_COUNT)
    m.s_fault[i] = reason
    m.s_fault_ns[i] = now_ns
    m.s_healthy_ns[i] = 0
    m.s_carried_ns[i] = 0


def fault(m: Cells, i: int, reason: int, now_ns: int) -> None:
    """Hold load `i` open until it is healthy, or a person has looked at it."""
    m.s_claims[i] |= Claim.FAULT
    if m.s_closed[i] != 0:
        m.s_opened_ns[i] = now_ns
    m.s_closed[i] = 0
    m.s_opening[i] = 0
    m.s_room_since_ns[i] = 0
    if m.f_kind[i] == MODULATED:
        lower(m, i, 0)
    note_fault(m, i, reason, now_ns)
    explain(m, i, reason, -1, 0, now_ns, 0)


def watch_fault(m: Cells, i: int, seen: bool, position: int, now_ns: int) -> None:
    """Whether a fault of load `i`'s relay is over."""
    reason = m.s_fault[i]
    if reason == Reason.NONE or reason == Reason.IGNORES_BUDGET or m.f_heal_ns[0] == 0:
        return
    seen_ns = m.sampled_ns[m.f_relay_slot[i]]
    if not m.s_claims[i] & Claim.FAULT:  # it is tried again
        if m.s_closed[i] == 1 and seen and position and seen_ns > m.s_order_ns[i]:
            m.s_fault[i] = Reason.NONE
        return
    well = seen and position == 0 and seen_ns > m.s_fault_ns[i] and not m.s_stale[i]
    if not well or carries(m, i, m.s_fault_ns[i]):
        m.s_healthy_ns[i] = 0
        return
    if m.s_healthy_ns[i] == 0:
        m.s_healthy_ns[i] = seen_ns
    alone = reason == Reason.MOVED and now_ns - m.s_fault_ns[i] < m.f_moves_ns[0]
    if not alone and now_ns - m.s_healthy_ns[i] >= m.f_heal_ns[0] << (m.s_fault_count[i] - 1):
        heal(m, i, now_ns)


def heal(m: Cells, i: int, now_ns: int) -> None:
    """The fault of load `i` no longer holds it open; whoever else does is named again."""
    reason = m.s_fault[i]
    if m.s_stop[i]:  # it ignored its budget before, and for that a person has to look at it
        m.s_fault[i] = Reason.IGNORES_BUDGET
        explain(m, i, Reason.IGNORES_BUDGET, -1, 0, now_ns, 0)
        return
    if reason == Reason.WELDED or reason == Reason.REFUSED_OPEN or reason == Reason.MOVED:
        m.s_fault[i] = Reason.NONE
        m.s_opened_ns[i] = max(m.s_opened_ns[i], m.s_healthy_ns[i])  # since then it surely rests
    held = m.s_claims[i] & ~Claim.FAULT
    m.s_claims[i] = held if held else Claim.PCS
    code = Reason.LIMIT
    if held & Claim.LOAD_SHED:
        code = Reason.BACKUP
    elif held & Claim.USER:
        code = Reason.USER
    elif held & Claim.FOUND:
        code = Reason.FOUND_OPEN
    explain(m, i, code, -1, 0, now_ns, 0)


def forget_fault(m: Cells, i: int) -> None:
    """A person has looked at load `i`."""
    m.s_fault[i] = Reason.NONE
    m.s_fault_count[i] = 0
    m.s_healthy_ns[i] = 0
    m.s_moves[i] = 0
