"""The fields of the flat memory that doubts need, besides those of core/layout.

Lists of slots lie one after the other in one field; `…_first` and `…_end` say which are whose. A
flag is 0 or 1. Times are monotonic ns, energies Wh.
"""

from __future__ import annotations

from typing import Final

FALLS_KEPT: Final = 4  # falls of the mains that were taken back, by leg
DIGITS: Final = 4  # currents and powers of both legs

FIXED_PER_LEG: Final = (
    "fast_first",  # in `fast_slot`: what modulated loads draw on the leg
    "fast_end",
    "every_first",  # in `every_slot`: what all circuits draw on the leg
    "every_end",
    "hidden_judged",  # 1: every circuit on it has a meter, and the panel no sources
    "hides_first",  # in `hides_load`: the loads on the leg
    "hides_end",
    "others_first",  # in `others_slot`: what circuits draw that are no loads
    "others_end",
)
FIXED_LISTS: Final = (
    "fast_slot",
    "every_slot",
    "watched_slot",  # every slot of a circuit's current, once
    "hides_load",
    "hides_slot_first",  # in `hides_slot`
    "hides_slot_end",
    "hides_slot",
    "others_slot",
    "counter_slot",
    "counter_most_w",  # what can flow through it at most
    "item_counter_first",  # of the mains or a circuit: in `item_counter`,
    "item_counter_end",
    "item_amps_first",  # in `item_amps_slot`,
    "item_amps_end",
    "item_watts_first",  # and in `item_watts_slot`
    "item_watts_end",
    "item_volts",  # those of one current
    "item_factor",  # so often one counter counts: 2 where it stands for both legs
    "item_watts_factor",
    "item_whole",  # all of its counters is what it drew, for sure
    "item_mains",
    "item_load",  # number of the load; -1 where it is none
    "item_counter",  # numbers of counters
    "item_amps_slot",
    "item_watts_slot",
)
FIXED_SCALARS: Final = (
    "sources",  # 1: something behind the lugs feeds the panel
    "drop_ma",  # a fall of the mains that has to be confirmed
    "branch_stale_ns",
    "counters",  # so many
    "items",
    "watched",
)

# By what there is one of: a leg, a load, an entry of a list.
STATE: Final = {
    "leg_seen_ns": "leg",
    "leg_others_ma": "leg",  # what it carried for others than modulated loads, as last believed
    "leg_believed_ns": "leg",
    "leg_falling": "leg",  # a fall waits to be confirmed: by so much,
    "leg_falling_ma": "leg",
    "leg_falling_ns": "leg",  # since then
    "leg_taken_back_ns": "leg_fall",  # when falls were taken back, the newest first
    "leg_erratic": "leg",
    "leg_fast_since_ns": "leg",  # since when the branch circuits draw too much
    "leg_all_since_ns": "leg",
    "leg_until_ns": "leg",  # how long the mains are held against them
    "leg_latch_ns": "leg",
    "leg_proven_ns": "leg",  # when something spoke for the mains last after a doubt
    "leg_unproven": "leg",
    "leg_agrees_since_ns": "leg",
    "leg_looked_ns": "leg",
    "leg_branches_ma": "leg",
    "leg_drop": "leg",  # the doubts themselves
    "leg_frozen": "leg",
    "leg_branches": "leg",
    "fast_then_ma": "fast_slot",  # what the modulated ones showed at first
    "digit": "digit",
    "digits_known": "scalar",
    "still_since_ns": "scalar",
    "told_frozen": "scalar",  # by an earlier run
    "told_ns": "scalar",
    "then_ma": "watched_slot",  # what the branch circuits drew once the mains stood still
    "then_known": "watched_slot",
    "then_count": "scalar",
    "suspect": "scalar",  # the mains contradicted the branch circuits, and are not proven since
    "hidden_looked_ns": "scalar",
    "hidden_since_ns": "leg",  # since when the mains carry too much
    "hidden_over_ns": "leg",  # since when it is above its limit while there are suspects
    "hidden_suspects": "leg",  # so many
    "suspected": "load_leg",
    "hidden": "load",  # the doubt itself
    "count_total_wh": "counter_slot",
    "count_raw_wh": "counter_slot",
    "count_known": "counter_slot",  # it has been read
    "count_raw_ns": "counter_slot",
    "count_moved_ns": "counter_slot",
    "count_odd": "counter_slot",  # a reading waits for one that goes on from it
    "count_odd_wh": "counter_slot",
    "count_odd_ns": "counter_slot",
    "count_seen_ns": "counter_slot",
    "energy_looked_ns": "scalar",
    "item_known": "item_volts",  # its total is known
    "item_total_wh": "item_volts",
    "item_at_ns": "item_volts",
    "item_waits": "item_volts",  # its counters have to be read anew since
    "item_since_ns": "item_volts",
    "item_before_wh": "item_volts",
    "item_counted_wh": "item_volts",  # in this stretch
    "item_step_wh": "item_volts",  # the most that the counters moved at once
    "item_apparent": "item_volts",  # mW x ms
    "item_drawn": "item_volts",
    "item_until_ns": "item_volts",  # how long its currents are doubted without new evidence
    "item_latch_ns": "item_volts",
    "item_energy": "item_volts",  # the doubts themselves
    "item_still": "item_volts",
}
