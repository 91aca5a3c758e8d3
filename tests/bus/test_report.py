"""What is told of links and devices: figures that hold, one event a change, words with a remedy."""

from __future__ import annotations

from panelctl.field.report import Report, link_state
from panelctl.sim.server import Fault
from tests.bus.rig import OTHER, VICTIM, BusRig, on_rig

S = 1_000_000_000


def test_the_record_of_a_link_and_its_devices() -> None:
    async def body(rig: BusRig) -> None:
        await rig.run(1.0)
        links, events = Report({"line1": rig.lane}).links(rig.clock.now_ns())
        assert events == [], "as one expects it"
        link = links["line1"]
        assert link["state"] == "UP"
        assert link["questions"] > 20
        assert 0.5 * link["planned_ms"] < link["fast_ms"]
        mains = link["devices"][OTHER]
        assert mains["state"] == "OK"
        assert mains["good"] > 8
        assert mains["age_s"] is not None
        assert mains["age_s"] < 1.0
        assert mains["p50_ms"] is not None
        assert mains["p50_ms"] <= (mains["p99_ms"] or 0.0)
        assert mains["wait_ms"] == 60
        assert mains["serial"]

    on_rig("rtu", body)


def test_what_changes_is_told_once_and_what_flickers_seldom() -> None:
    async def body(rig: BusRig) -> None:
        report = Report({"line1": rig.lane})
        now_ns = rig.clock.now_ns()
        report.links(now_ns)
        rig.strike(VICTIM, Fault("dead", -1))
        await rig.run(1.5)
        _, events = report.links(now_ns + 2 * S)
        assert events == [{"what": "device", "device": VICTIM, "text": "SILENT: no reply"}]
        assert report.links(now_ns + 3 * S)[1] == [], "once"
        rig.heal()
        await rig.until_good(VICTIM, rig.clock.now_ns())
        assert report.links(now_ns + 4 * S)[1] == [], "not so soon after the last word"
        _, events = report.links(now_ns + 13 * S)
        assert events == [{"what": "device", "device": VICTIM, "text": "OK"}]

    on_rig("rtu", body)


def test_a_refused_block_and_a_lost_port_are_told_in_words() -> None:
    async def body(rig: BusRig) -> None:
        report = Report({"line1": rig.lane})
        now_ns = rig.clock.now_ns()
        report.links(now_ns)
        rig.strike(OTHER, Fault("refuse", -1, code=2, at=0))
        await rig.run(2.0)
        _, events = report.links(now_ns + 2 * S)
        assert [event["device"] for event in events] == [OTHER]
        assert "REFUSES: 4 of input from 0: the device refused" in events[0]["text"]
        object.__setattr__(rig.link.link, "path", "/dev/no_such_port")  # type: ignore[attr-defined]
        await rig.link.close()
        await rig.run(0.5)
        links, events = report.links(now_ns + 3 * S)
        assert links["line1"]["state"] == "DOWN"
        told = next(event["text"] for event in events if event["what"] == "link")
        assert "is the adapter plugged in?" in told
        assert all(len(event["text"]) <= 200 for event in events)

    on_rig("rtu", body)


def test_a_fast_lane_that_takes_longer_than_planned_is_told_in_words() -> None:
    async def body(rig: BusRig) -> None:
        planned_ms = rig.plan.fast_ns / 1e6
        for _ in range(200):
            rig.lane.pace.took(int((planned_ms + 5) * 1e6))
        assert link_state(rig.lane) == "UP", "ten milliseconds more are none"
        for _ in range(200):
            rig.lane.pace.took(80_000_000)
        said = link_state(rig.lane)
        assert said == f"UP: slower than planned: 80 ms for the fast lane, planned {planned_ms:.0f}"

    on_rig("rtu", body)
