"""Figures for Prometheus, taken from the newest record when somebody asks. Nothing is counted here
that the controller or a service does not count already.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from panelctl.services.gateway import Gateway


class _Collector:
    """What Prometheus asks for."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def collect(self) -> Iterator[Metric]:
        """The figures now."""
        gateway, carrier = self._gateway, self._gateway.carrier
        yield _gauge(
            "panelctl_up", "1 while the controller can be heard.", gateway.record is not None
        )
        yield _gauge("panelctl_mqtt_connected", "1 while connected.", carrier.connected)
        yield _gauge("panelctl_mqtt_waiting", "Messages that wait to go out.", carrier.waiting)
        for name, says, value in (
            ("mqtt_sent", "Messages given to the broker.", carrier.sent),
            (
                "mqtt_replaced",
                "Values replaced by newer ones before they went out.",
                carrier.replaced,
            ),
            ("mqtt_connects", "Connections made.", carrier.connects),
            ("mqtt_commands_refused", "Commands refused.", gateway.refused),
            ("mqtt_commands_dropped", "Commands that came too fast.", gateway.dropped),
            ("events_unlogged", "Events that were too many to log.", gateway.journal.skipped),
            ("records_dropped", "Records that we were too slow for.", gateway.follower.dropped),
        ):
            yield CounterMetricFamily(f"panelctl_{name}", says, value=value)
        if gateway.record is not None:
            yield from _of_record(gateway)


def _of_record(gateway: Gateway) -> Iterator[Metric]:
    record = gateway.record
    assert record is not None
    state = GaugeMetricFamily("panelctl_state", "1 for the present state.", labels=["state"])
    for name in ("HOLD", "NORMAL", "DEGRADED", "SHED"):
        state.add_metric([name], float(record["state"] == name))
    yield state
    rows = {**record["legs"], **record["rows"]}
    for key, says in (("a", "Current."), ("limit_a", "Limit."), ("headroom_a", "Headroom.")):
        amps = GaugeMetricFamily(
            f"panelctl_row_{'current' if key == 'a' else key.removesuffix('_a')}_amperes",
            says,
            labels=["row"],
        )
        for row, values in rows.items() if record["mains"]["fresh"] else ():
            amps.add_metric([row], values[key])
        yield amps
    watts = GaugeMetricFamily("panelctl_circuit_watts", "Power.", labels=["circuit"])
    closed = GaugeMetricFamily("panelctl_circuit_closed", "1 while closed.", labels=["circuit"])
    faults = GaugeMetricFamily("panelctl_circuit_fault", "1 while at fault.", labels=["circuit"])
    for circuit in record["circuits"]:
        if circuit["fresh"]:
            watts.add_metric([circuit["id"]], circuit["w"])
        if circuit["relay"] in ("OPEN", "CLOSED"):
            closed.add_metric([circuit["id"]], float(circuit["relay"] == "CLOSED"))
        if "why" in circuit:
            faults.add_metric([circuit["id"]], float("FAULT" in circuit.get("claims", ())))
    yield from (watts, closed, faults)
    if record["compute"] is not None:
        for key in ("budget_w", "draw_w"):
            name = f"panelctl_compute_{key.removesuffix('_w')}_watts"
            yield GaugeMetricFamily(name, "Of the compute node.", value=record["compute"][key])
    replies = CounterMetricFamily(
        "panelctl_replies",
        "Of each device, by what became of the question.",
        labels=["device", "kind"],
    )
    for device, unit in record["units"].items():
        for kind in ("good", "timeouts", "bad", "refused"):
            replies.add_metric([device, kind], unit[kind])
    yield replies
    timing = record["timing"]
    yield _gauge("panelctl_cycle_late_seconds", "After its tick.", timing["late_us"] / 1e6)
    yield _gauge(
        "panelctl_cycle_work_seconds", "Until the orders went out.", timing["work_us"] / 1e6
    )
    yield CounterMetricFamily("panelctl_overruns", "Ticks skipped.", value=timing["overruns"])


def _gauge(name: str, says: str, value: float) -> Metric:
    return GaugeMetricFamily(name, says, value=float(value))


def registry(gateway: Gateway) -> CollectorRegistry:
    """A registry of a gateway's figures alone."""
    made = CollectorRegistry(auto_describe=False)
    made.register(_Collector(gateway))
    return made


def exposition(made: CollectorRegistry) -> bytes:
    """The figures in Prometheus's text format."""
    return generate_latest(made)
