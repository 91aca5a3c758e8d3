"""Figures for Prometheus, taken from the newest record when somebody asks. Nothing is counted here
that the controller or a service does not count already.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from panelctl.model.reason import State
from panelctl.services.gateway import Gateway


class _Collector:
    """What Prometheus asks for."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def collect(self) -> Iterator[Metric]:
        """The figures now."""
        gateway, client = self._gateway, self._gateway.client
        yield _gauge(
            "panelctl_up", "1 while the controller can be heard.", gateway.record is not None
        )
        yield _gauge("panelctl_mqtt_connected", "1 while connected.", client.connected)
        yield _gauge("panelctl_mqtt_waiting", "Messages that wait to go out.", client.waiting)
        for name, says, value in (
            ("mqtt_sent", "Messages given to the broker.", client.sent),
            (
                "mqtt_replaced",
                "Values replaced by newer ones before they went out.",
                client.replaced,
            ),
            ("mqtt_connects", "Connections made.", client.connects),
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
    for each in State:
        state.add_metric([each.name], float(record["state"] == each.name))
    yield state
    constraints = {**record["legs"], **record["constraints"]}
    current, limit, headroom = (
        GaugeMetricFamily(
            f"panelctl_constraint_{name}_amperes", f"{name.capitalize()}.", labels=["constraint"]
        )
        for name in ("current", "limit", "headroom")
    )
    for name, values in constraints.items() if record["mains"]["fresh"] else ():
        current.add_metric([name], values["a"])
        limit.add_metric([name], values["limit_a"])
        headroom.add_metric([name], values["headroom_a"])
    yield from (current, limit, headroom)
    watts = GaugeMetricFamily("panelctl_circuit_watts", "Power.", labels=["circuit"])
    closed = GaugeMetricFamily("panelctl_circuit_closed", "1 while closed.", labels=["circuit"])
    faults = GaugeMetricFamily("panelctl_circuit_fault", "1 while at fault.", labels=["circuit"])
    wrong = {fault["circuit"] for fault in record["faults"]}
    for circuit in record["circuits"]:
        if circuit["fresh"]:
            watts.add_metric([circuit["id"]], circuit["w"])
        if circuit["relay"] in ("OPEN", "CLOSED"):
            closed.add_metric([circuit["id"]], float(circuit["relay"] == "CLOSED"))
        if "why" in circuit:
            faults.add_metric([circuit["id"]], float(circuit["id"] in wrong))
    yield from (watts, closed, faults)
    node = record["compute"]
    if node is not None:
        for name, watts_w in (("budget", node["budget_w"]), ("draw", node["draw_w"])):
            gauge = f"panelctl_compute_{name}_watts"
            yield GaugeMetricFamily(gauge, "Of the compute node.", value=watts_w)
    replies = CounterMetricFamily(
        "panelctl_replies",
        "Of each device, by what became of the question.",
        labels=["device", "kind"],
    )
    for device, unit in record["units"].items():
        replies.add_metric([device, "good"], unit["good"])
        replies.add_metric([device, "timeouts"], unit["timeouts"])
        replies.add_metric([device, "bad"], unit["bad"])
        replies.add_metric([device, "refused"], unit["refused"])
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
