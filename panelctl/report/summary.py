"""From the columns of a recording to what an installer or an operator asks of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from panelctl.report.columns import Columns, Floats, quantile

NEAR = (0.5, 0.8, 0.9, 1.0)  # of the limit
RUNS_RATIO = 0.05  # of its most: a circuit that draws more than this runs
RUNS_W = 20.0


@dataclass(frozen=True, slots=True)
class LegSummary:
    """One leg. A; `near_s` is for how long, s, it carried at least so much of its limit."""

    median_a: float | None
    p99_a: float | None
    most_a: float | None
    least_limit_a: float
    over_s: float
    near_s: dict[str, float]


@dataclass(frozen=True, slots=True)
class ComputeSummary:
    """The node. Wh; `used` is the share of its budget that it drew."""

    drawn_wh: float
    budget_wh: float
    used: float | None
    lowered: int  # so often its budget fell


@dataclass(frozen=True, slots=True)
class CircuitSummary:
    """One circuit; what a source gives is below 0. `starts` counts how often it began to draw;
    `off_s` is by who held it open.
    """

    drawn_wh: float
    most_w: float | None
    runs_ratio: float
    starts: int
    off_s: dict[str, float]


@dataclass(frozen=True, slots=True)
class Summary:
    """A recording as a whole. `gaps` are places where records are missing."""

    span_s: float
    records: int
    gaps: int
    states_s: dict[str, float]
    legs: dict[str, LegSummary]
    compute: ComputeSummary | None
    circuits: dict[str, CircuitSummary]
    late_p50_ms: float | None
    late_p99_ms: float | None
    incomplete_ratio: float


def summarise(columns: Columns) -> Summary:
    """What the columns say."""
    weight_s = columns.weight_s
    late_ms = columns["timing.late_ms"]
    return Summary(
        span_s=round(float(weight_s.sum()), 1),
        records=columns.records,
        gaps=columns.gaps,
        states_s=_by_word(columns.states, weight_s),
        legs={leg: _leg(columns, leg, weight_s) for leg in columns.named("leg.")},
        compute=_compute(columns, weight_s),
        circuits={name: _circuit(columns, name, weight_s) for name in columns.named("circuit.")},
        late_p50_ms=quantile(late_ms, weight_s, 0.5),
        late_p99_ms=quantile(late_ms, weight_s, 0.99),
        incomplete_ratio=round(1.0 - float(columns["timing.complete"].mean()), 6),
    )


def _by_word(words: list[str], weight_s: Floats) -> dict[str, float]:
    """For how long each word held, s; nothing for no word."""
    given = np.array(words)
    return {
        str(word): round(float(weight_s[given == word].sum()), 1)
        for word in np.unique(given)
        if word
    }


def _energy_wh(watts: Floats, weight_s: Floats) -> float:
    return round(float(np.nansum(watts * weight_s)) / 3600, 3)


def _leg(columns: Columns, leg: str, weight_s: Floats) -> LegSummary:
    amps, limit_a = columns[f"leg.{leg}.a"], columns[f"leg.{leg}.limit_a"]
    ratio = np.divide(amps, limit_a, out=np.full_like(amps, np.nan), where=limit_a > 0)
    return LegSummary(
        median_a=quantile(amps, weight_s, 0.5),
        p99_a=quantile(amps, weight_s, 0.99),
        most_a=None if np.isnan(amps).all() else float(np.nanmax(amps)),
        least_limit_a=float(limit_a.min()),
        over_s=round(float(weight_s[amps > limit_a].sum()), 1),
        near_s={f"{part:.0%}": round(float(weight_s[ratio >= part].sum()), 1) for part in NEAR},
    )


def _compute(columns: Columns, weight_s: Floats) -> ComputeSummary | None:
    draw_w, budget_w = columns["compute.draw_w"], columns["compute.budget_w"]
    if np.isnan(budget_w).all():
        return None
    drawn_wh, budget_wh = _energy_wh(draw_w, weight_s), _energy_wh(budget_w, weight_s)
    return ComputeSummary(
        drawn_wh=drawn_wh,
        budget_wh=budget_wh,
        used=round(drawn_wh / budget_wh, 4) if budget_wh else None,
        lowered=int((np.diff(budget_w) < 0).sum()),
    )


def _circuit(columns: Columns, name: str, weight_s: Floats) -> CircuitSummary:
    watts = columns[f"circuit.{name}.w"]
    known = not np.isnan(watts).all()
    most_w = float(watts[np.nanargmax(np.abs(watts))]) if known else None  # a source's is below 0
    runs = np.abs(np.nan_to_num(watts)) > max(RUNS_W, RUNS_RATIO * abs(most_w or 0.0))
    span_s = float(weight_s.sum())
    return CircuitSummary(
        drawn_wh=_energy_wh(watts, weight_s),
        most_w=most_w,
        runs_ratio=round(float(weight_s[runs].sum()) / span_s, 4) if span_s else 0.0,
        starts=int((np.diff(runs.astype(np.int8)) > 0).sum()),
        off_s=_by_word(columns.claims[name], weight_s),
    )
