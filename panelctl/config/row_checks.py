"""Whether breakers' curves, feeders, backup and equal tiers of a panel file make sense together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from panelctl.config.circuit_checks import check_point
from panelctl.config.curves import load_curve
from panelctl.config.schema import FeederTable, PanelFile
from panelctl.errors import ConfigError, Problem
from panelctl.model.breaker import CONTINUOUS_SHARE


def check_rows(file: PanelFile) -> Iterator[Problem]:
    """Every problem of rows other than the legs' own limit."""
    service = file.service
    yield from _curve("service", service.curve)
    if service.thermal_credit and not _gives_credit(service.curve):
        yield Problem(
            "service.thermal_credit",
            "true",
            "needs a `curve` that is a minimum curve somebody vouches for, not an assumed one",
        )
    if service.thermal_credit and service.control_setting_a != service.main_breaker_a:
        yield Problem(
            "service.thermal_credit",
            "true",
            "is only for a breaker without a control setting: write its rating there, or leave it",
        )
    if service.doe_default_a is not None and service.doe_default_a > service.control_setting_a:
        yield Problem(
            "service.doe_default_a",
            f"{service.doe_default_a:g}",
            f"must be at most the control setting of {service.control_setting_a:g} A",
        )
    for circuit in file.circuit:
        if circuit.max_off_s and circuit.max_off_s <= circuit.min_off_s:
            yield Problem(
                f"circuit {circuit.id}.max_off_s",
                f"{circuit.max_off_s:g}",
                f"must be more than min_off_s = {circuit.min_off_s:g}",
            )
    for name, count in Counter(feeder.id for feeder in file.feeder).items():
        if count > 1:
            yield Problem("feeder.id", name, f"{count} of them have this name; names are unique")
    taken = {circuit.id for circuit in file.circuit} | {"main", "import"}
    for feeder in file.feeder:
        if feeder.id in taken:
            yield Problem("feeder.id", feeder.id, "is a circuit's name or a word of panelctl's own")
        yield from _feeder(file, feeder)


def _curve(path: str, name: str | None) -> Iterator[Problem]:
    if name is not None:
        try:
            load_curve(name)
        except ConfigError as error:
            yield Problem(f"{path}.curve", name, error.problems[0].remedy)


def _gives_credit(name: str | None) -> bool:
    try:
        return name is not None and load_curve(name).gives_credit
    except ConfigError:
        return True  # that there is no such curve is said already


def _feeder(file: PanelFile, feeder: FeederTable) -> Iterator[Problem]:
    path = f"feeder {feeder.id}"
    yield from _curve(path, feeder.curve)
    legs = {circuit.id: set(circuit.legs) for circuit in file.circuit}
    for name, count in Counter(feeder.circuits).items():
        if name not in legs:
            yield Problem(f"{path}.circuits", name, "is no circuit of this file")
        elif not legs[name] <= set(feeder.legs):
            remedy = f"is on leg {'+'.join(sorted(legs[name]))}, the feeder has {feeder.legs}"
            yield Problem(f"{path}.circuits", name, remedy)
        elif count > 1:
            yield Problem(f"{path}.circuits", name, f"stands there {count} times")
    highest_a = feeder.breaker_a * CONTINUOUS_SHARE
    if feeder.control_setting_a is not None and feeder.control_setting_a > highest_a:
        yield Problem(
            f"{path}.control_setting_a",
            f"{feeder.control_setting_a:g}",
            f"must be at most {highest_a:g}: 80 % of its breaker",
        )
    if feeder.meter is None:
        unseen = [
            c.id
            for c in file.circuit
            if c.id in feeder.circuits and (not c.armed or c.role not in ("switched", "modulated"))
        ]
        if unseen:
            remedy = f"is needed: {', '.join(unseen)} on it is not managed and cannot be added up"
            yield Problem(f"{path}.meter", "", remedy)
        return
    for leg in "ab":
        point = getattr(feeder.meter, leg)
        if (point is not None) != (leg in feeder.legs):
            remedy = "needs a point a leg that the feeder has, and no other"
            yield Problem(f"{path}.meter.{leg}", str(point), remedy)
        elif point is not None:
            yield from check_point(
                file, f"{path}.meter.{leg}", feeder.meter.device, point, "current"
            )
