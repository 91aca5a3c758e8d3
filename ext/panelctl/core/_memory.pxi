"""The flat memory of a decision as C sees it: one pointer a field of panelctl/core/layout.py.

Rules
- The fields stand in the order of `Fixed.names` and `Changing.names`: they are bound by counting.
  A test holds the two lists equal.
- f_ is what the panel is made of, s_ what changes.
"""

ctypedef i64 *cells


cdef struct Memory:
    cells value_, quality_, sampled_  # the latched image
    cells f_kind, f_compute, f_rest_tier, f_weight, f_relay_slot, f_told_slot, f_tolerance_ppm
    cells f_stale_ns, f_min_on_ns, f_min_off_ns, f_max_off_ns, f_safe_open, f_floor_ma
    cells f_max_ma, f_fallback_ma, f_can_pause, f_settle_ns, f_change_ns, f_step_ma
    cells f_ramp_ma_s, f_branch_ref_ma, f_branch_share, f_branch_most_ma, f_branch_ma
    cells f_wear_ns
    cells f_coef, f_plain, f_slot, f_slot2, f_demand_ma, f_inrush_ma, f_against
    cells f_row_slot, f_row_slot2, f_less_slot, f_sign_slot, f_sign_slot2, f_row_stale_ns
    cells f_scale, f_ref_ma, f_share, f_credit, f_prior_ma, f_calm
    cells f_feed_slot, f_feed_w_slot, f_feed_w_slot2, f_feed_stale_ns, f_feed_most_ma
    cells f_feed_share_ppm, f_feed_window_ns
    cells f_relieves, f_adds
    cells f_next_state, f_equal_tier, f_keep_fast, f_keep_slow, f_branch_keep_fast
    cells f_branch_keep_slow
    cells f_fresh_ns, f_hold_ns, f_shed_ns, f_good_needed, f_confirm_ns, f_react_ns
    cells f_relay_confirm_ns, f_relay_stale_ns, f_close_settle_ns, f_restore_hold_ns
    cells f_restore_interval_ns, f_fill_margin_ma, f_restore_margin_ma, f_relief_ma
    cells f_tolerance_ma, f_error_ppm, f_slack_ma, f_idle_ns, f_welded_ma, f_node_fault_ns
    cells f_node_open_ns, f_stop_wait_ns
    cells s_tier, s_promoted, s_closed, s_claims, s_flying, s_order_ns, s_opened_ns
    cells s_closed_ns, s_awaits, s_stale, s_unread, s_measured, s_fit_ns, s_apart, s_set_ma
    cells s_moved_ns, s_raised_ns, s_allow_ma, s_allowed_ma, s_bucket_ns, s_over_ns, s_want_ma
    cells s_branch_theta_ppm, s_branch_trip_ms, s_hot_ns, s_worn_ns, s_hungry_ns, s_stop
    cells s_reason, s_reason_row, s_reason_ma, s_since_ns, s_until_ns, s_wait, s_wait_row
    cells s_wait_ma
    cells s_meas_ma, s_at_mains_ma, s_relief_of_ma
    cells s_branch_fast, s_branch_slow, s_branch_seen_ns, s_branch_last_ma, s_branch_draw_ma
    cells s_out_ma, s_may_ma, s_firm_ma, s_low_ma, s_older_low_ma, s_low_ns, s_high_ma
    cells s_older_high_ma, s_high_ns, s_gives_ma
    cells s_row_ma, s_flow_ma, s_row_old, s_row_seen_ns, s_wary_ma, s_limit_ma, s_shed_ma
    cells s_fill_ma, s_binding, s_headroom_ma, s_fast, s_slow, s_theta_ppm, s_trip_ms, s_hard
    cells s_margin_ma, s_window_from_ma, s_window_top_ma, s_rest_ma, s_top_ma, s_older_top_ma
    cells s_top_ns
    cells s_steps
    cells s_limit_on, s_limit_until_ns
    cells s_limit_value_ma
    cells s_boot_ns, s_step_ns, s_mains_ns, s_good, s_state, s_excess_ns, s_restored_ns
    cells s_heat_ns, s_window_ns, s_disturbed, s_hour, s_hour_offset_ns
    int n, rows, limits, feeds
