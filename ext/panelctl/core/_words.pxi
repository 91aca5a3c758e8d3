"""Constants and the arithmetic of breaker heat, as in panelctl/core/thermal.py and sight.py.
Only numbers that are not negative are divided, so that C's truncation equals Python's floor.
"""

cdef i64 NEVER_NS = (<i64>1) << 61
cdef i64 STILL_NS = 1000000000000
cdef i64 HOUR_NS = 3600000000000
cdef i64 NO_LIMIT_MA = (<i64>1) << 36
cdef i64 ONE = (<i64>1) << 32
cdef i64 STAYS = 1 << 30
cdef i64 STOPS_LAST = (<i64>1) << 38

cdef enum:
    MAX_LOADS = 128
    MAX_ROWS = 32
    LEG_ROWS = 2
    HOURS = 24
    STEP_BINS = 48
    SWITCHED = 0
    MODULATED = 1
    GOOD = 1
    # State
    HOLD = 0
    NORMAL = 1
    DEGRADED = 2
    SHED = 3
    # Reason
    R_NONE = 0
    R_LIMIT = 1
    R_USER = 2
    R_FOUND_OPEN = 3
    R_BLIND = 4
    R_WELDED = 5
    R_STUCK_OPEN = 6
    R_IGNORES_BUDGET = 7
    R_RAMP = 8
    R_UNREAD = 9
    R_STALE = 10
    R_GAVE_WAY = 11
    R_HOT = 13
    # Wait
    W_NONE = 0
    W_MIN_OFF = 1
    W_NO_ROOM = 2
    W_STEADY = 3
    W_STAGED = 4
    W_MAKING_ROOM = 5
    W_BLIND = 6
    W_COOLING = 7
    W_WORN = 8
    # Claim
    C_FOUND = 1
    C_USER = 2
    C_PCS = 8
    C_FAULT = 32
    # LimitName
    L_THERMAL = 6
    # panelctl/core/thermal.py
    TICK_NS = 10000000
    TICK_BITS = 17
    MOST_U = 524288
    PPM = 1000000
    HOT_PPM = 900000
    # panelctl/core/keep.py
    LAST_RANK = 101
    # panelctl/core/heat.py
    BRANCH_HOT_PPM = 800000
    BRANCH_COOL_PPM = 750000
    START = 3
    # panelctl/core/sight.py
    OUT_SHARE = 8
    OUT_MA = 2000
    SEEN = 1024
    PRIOR = 2048
    FORGET_BITS = 4
    TAIL_BITS = 10
    MARGIN_BITS = 2
    # panelctl/core/follow.py
    RELIEF_COUNTS = 4
    WEAR_BURST = 20
    L_FSR = 0


cdef inline i64 _min(i64 a, i64 b) noexcept nogil:
    return a if a < b else b


cdef inline i64 _abs(i64 a) noexcept nogil:
    return -a if a < 0 else a


cdef inline i64 _max(i64 a, i64 b) noexcept nogil:
    return a if a > b else b


# The thermal memory, as in panelctl/core/thermal.py.

cdef inline i64 times(i64 x, i64 part) noexcept nogil:
    return (((x >> 16) * part) >> 16) + (((x & 0xFFFF) * part) >> 32)


cdef inline i64 approach(i64 heat, i64 goal, i64 part) noexcept nogil:
    if heat >= goal:
        return goal + times(heat - goal, part)
    return goal - times(goal - heat, part)


cdef inline i64 theta_of(i64 fast, i64 slow, i64 share) noexcept nogil:
    return times(fast, share) + times(slow, ONE - share)


cdef i64 ticks_to_trip(
    i64 fast, i64 slow, i64 goal, i64 share, const i64 *keep_fast, const i64 *keep_slow
) noexcept nogil:
    cdef i64 ticks = 0, later_fast, later_slow
    cdef int k
    for k in range(TICK_BITS - 1, -1, -1):
        later_fast = approach(fast, goal, keep_fast[k])
        later_slow = approach(slow, goal, keep_slow[k])
        if theta_of(later_fast, later_slow, share) < ONE:
            fast = later_fast
            slow = later_slow
            ticks += 1 << k
    return -1 if ticks == (1 << TICK_BITS) - 1 else ticks


cdef inline i64 slope(i64 low, i64 above, i64 high, i64 below, i64 theta_ppm) noexcept nogil:
    if theta_ppm <= low:
        return above
    if theta_ppm <= high:
        return above - (above - below) * (theta_ppm - low) // (high - low)
    return below


cdef inline i64 fill_band(i64 theta_ppm) noexcept nogil:
    return 450000 if theta_ppm > 920000 else slope(750000, PPM, 920000, 700000, theta_ppm)


cdef inline i64 shed_band(i64 theta_ppm, bint credit) noexcept nogil:
    return slope(800000, 1250000 if credit else PPM, 920000, 970000, theta_ppm)


cdef inline int bin_of(i64 step_ma) noexcept nogil:
    cdef int octave = 0
    if step_ma < 2:
        return 0
    while step_ma >> (octave + 1):
        octave += 1
    octave = 2 * octave + ((step_ma >> (octave - 1)) & 1)
    return octave if octave < STEP_BINS else STEP_BINS - 1


cdef inline i64 bin_top_ma(int number) noexcept nogil:
    cdef int octave = number >> 1
    if octave == 0:
        return 2
    return (<i64>2 << octave) if number & 1 else (<i64>3 << (octave - 1))
