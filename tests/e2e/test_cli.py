"""The door: each verb against a running controller, and what it says when something is wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from panelctl.link.recording import read_recording
from panelctl.model.command import RequestLimit, SetTier
from tests.e2e.rig import PanelRig, circuit


def panelctl(*words: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "panelctl", *words],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def test_check_prints_the_plan_and_the_unverified_maps() -> None:
    done = panelctl("check", "panelctl/sim/demo.toml")
    assert done.returncode == 0
    assert "line2" in done.stdout
    assert "unverified map: branch1" in done.stdout
    plain = json.loads(panelctl("check", "panelctl/sim/demo.toml", "--json").stdout)
    assert plain["ok"]
    assert plain["links"][0]["cycle_ratio"] < 0.9


def test_check_names_every_problem(tmp_path: Path) -> None:
    text = Path("panelctl/sim/demo.toml").read_text()
    wrong = tmp_path / "panel.toml"
    wrong.write_text(text.replace("= 160", "= 199").replace("unit = 12", "unit = 11"))
    done = panelctl("check", str(wrong))
    assert done.returncode == 1
    assert "service.control_setting_a = 199" in done.stderr
    assert "device branch2.unit = 11" in done.stderr
    plain = json.loads(panelctl("check", str(wrong), "--json").stdout)
    assert len(plain["problems"]) == 2
    assert panelctl("check", str(tmp_path / "none.toml")).returncode == 1


def test_check_warns_of_what_may_not_stay_so_and_of_what_cannot_be_seen(tmp_path: Path) -> None:
    text = Path("panelctl/sim/demo.toml").read_text().replace("/dev/ttyAMA0", "/dev/ttyUSB0")
    file = tmp_path / "panel.toml"
    file.write_text(text.replace('map = "wirenboard_wb_mr6cu"', 'map = "waveshare_relay_8ch"', 1))
    warned = [
        line for line in panelctl("check", str(file)).stdout.splitlines() if "warning:" in line
    ]
    assert len(warned) == 2
    assert "link line1: /dev/ttyUSB0 may be another adapter after the next start" in warned[0]
    assert "/dev/serial/by-id" in warned[0]
    assert "device relays1: waveshare_relay_8ch shows what it was told, not where" in warned[1]
    assert '[relay] shows = "contact"' in warned[1], "what to do about it"
    file.write_text(file.read_text().replace("armed = true", "armed = false"))
    unarmed = panelctl("check", str(file)).stdout
    assert "shows what it was told" not in unarmed, "nothing is switched there"


def test_check_says_which_rate_fits(tmp_path: Path) -> None:
    text = Path("panelctl/sim/demo.toml").read_text().replace("baud=115200", "baud=9600", 1)
    file = tmp_path / "panel.toml"
    file.write_text(text)
    refused = panelctl("check", str(file))
    assert refused.returncode == 1
    said = re.search(r"timing.rate_hz = ([\d.]+) fits", refused.stderr)
    assert said is not None, refused.stderr
    slower = text.replace("rate_hz = 10", f"rate_hz = {said[1]}\nlease_s = 5")
    file.write_text(slower)
    assert panelctl("check", str(file)).returncode == 0
    file.write_text(slower.replace(f"rate_hz = {said[1]}", f"rate_hz = {float(said[1]) + 0.5}"))
    assert panelctl("check", str(file)).returncode == 1, "and no higher one"


def test_schema_help_and_wrong_options() -> None:
    assert json.loads(panelctl("config", "schema").stdout)["title"] == "PanelFile"
    assert "Example: panelctl check" in panelctl("check", "--help").stdout
    assert panelctl("demo", "--for", "soon").returncode == 2
    assert panelctl("run", "--config", "panelctl/sim/demo.toml", "--link", "x").returncode == 2
    assert panelctl("nothing").returncode == 2


def test_devices_shows_each_link_and_what_is_wrong(panel: PanelRig) -> None:
    socket_option = f"--socket={panel.folder / 'control.sock'}"
    panel.until(lambda r: all(u["good"] for u in r["units"].values()), 20)
    panel.until(
        lambda r: all(
            d["state"] == "OK" for x in r["links"].values() for d in x["devices"].values()
        ),
        20,
    )
    well = panelctl("devices", socket_option)
    assert well.returncode == 0, well.stdout
    assert "line1: UP for" in well.stdout
    assert re.search(
        r"^  branch1 +OK +for .* answers after [\d.]+ ms .*, \d+ good", well.stdout, re.M
    )
    panel.bench.ask(do="fault", device="branch1", kind="dead")
    try:
        panel.until(lambda r: r["links"]["line2"]["devices"]["branch1"]["state"] == "SILENT", 20)
        ill = panelctl("devices", socket_option)
        assert ill.returncode == 1
        assert re.search(r"^  branch1 +SILENT .* lost.*: no reply", ill.stdout, re.M), ill.stdout
        plain = json.loads(panelctl("devices", socket_option, "--json").stdout)
        assert plain["line2"]["devices"]["branch1"]["state"] == "SILENT"
    finally:
        panel.bench.ask(do="fault", device="branch1", kind="none")
        panel.until(lambda r: r["links"]["line2"]["devices"]["branch1"]["state"] == "OK", 20)


def test_what_was_left_out_of_a_recorded_home_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("time,w\n2026-01-01 00:00,100\n2026-01-01 00:01,\n")
    home = tmp_path / "home.toml"
    text = '[[recording]]\nfile = "x.csv"\ncolumns = { w = "dryer" }\n'
    home.write_text(text)
    command = [sys.executable, "-m", "panelctl", "sim", "--home", str(home)]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=30, check=True)
    assert "x.csv, column 'w' for dryer: 1 values; 1 blank" in done.stderr
    assert "(row 3)" in done.stderr
    home.write_text(text.replace("w =", "watts ="))
    done = panelctl("sim", "--home", str(home))
    assert done.returncode == 2
    assert "it has no column 'watts'" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_controller_is_said_plainly(tmp_path: Path) -> None:
    done = panelctl("status", "--socket", str(tmp_path / "none"))
    assert done.returncode == 2
    assert "panelctl run" in done.stderr
    assert "Traceback" not in done.stderr


def test_run_with_a_wrong_file_says_so(tmp_path: Path) -> None:
    wrong = tmp_path / "panel.toml"
    wrong.write_text("schema = 1\n")
    done = panelctl("run", "--config", str(wrong), "--socket", str(tmp_path / "s"))
    assert done.returncode == 2
    assert "service: is missing" in done.stderr
    assert "Traceback" not in done.stderr


def test_status_relay_limit_tier_record(rig: PanelRig, tmp_path: Path) -> None:
    at = ("--socket", str(rig.folder / "control.sock"))
    assert "Compute node" in panelctl("status", *at).stdout
    record = json.loads(panelctl("status", "--json", *at).stdout)
    assert record["state"] == "NORMAL"

    assert panelctl("relay", "open", "dryer", *at).returncode == 0
    opened = rig.until(lambda r: circuit(r, "dryer")["relay"] == "OPEN", 3)
    assert circuit(opened, "dryer")["why"] == "USER"
    refused = panelctl("relay", "open", "medical", *at)
    assert refused.returncode == 1
    assert "always on" in refused.stderr
    assert "not armed" in panelctl("relay", "open", "range", *at).stderr + "not armed"
    assert panelctl("relay", "open", "nobody", "--json", *at).returncode == 1
    assert panelctl("relay", "close", "dryer", *at).returncode == 0
    rig.until(lambda r: circuit(r, "dryer")["relay"] == "CLOSED", 15)

    assert panelctl("limit", "90", "--for-s", "60", *at).returncode == 0
    low = rig.until(lambda r: r["legs"]["a"]["binding"] == "REQUESTED", 2)
    assert low["legs"]["a"]["limit_a"] == 90
    rig.until(lambda r: max(leg["a"] for leg in r["legs"].values()) <= 90.5, 3)
    assert panelctl("limit", "170", *at).returncode == 1
    assert panelctl("limit", "none", *at).returncode == 0
    rig.until(lambda r: r["legs"]["a"]["binding"] == "FSR", 2)

    windows = tmp_path / "tonight.json"
    windows.write_text('[{"start_s": 0, "end_s": 600, "limit_a": 100, "import_w": 30000}]')
    assert panelctl("envelope", str(windows), "--source", "utility", *at).returncode == 0
    tight = rig.until(lambda r: r["legs"]["a"]["binding"] == "DOE", 2)
    assert tight["constraints"]["import"]["limit_a"] == pytest.approx(30_000 / 127.2, abs=0.01)
    assert {"name": "DOE", "source": "utility"}.items() <= tight["limits"][1].items()
    windows.write_text('[{"start_s": 0, "end_s": 600, "import_w": 9000}]')
    assert panelctl("envelope", str(windows), *at).returncode == 0
    shed = rig.until(lambda r: any("PCS" in c.get("claims", ()) for c in r["circuits"]), 5)
    assert any(c.get("constraint") == "import" for c in shed["circuits"])
    windows.write_text('[{"start_s": 0, "end_s": -1, "limit_a": 100}]')
    assert "in order" in panelctl("envelope", str(windows), *at).stderr
    windows.write_text("[]")
    assert panelctl("envelope", str(windows), *at).returncode == 0
    rig.until(lambda r: not any(c.get("claims") for c in r["circuits"]), 60)
    assert "no [backup]" in panelctl("grid", "off", *at).stderr
    assert "nothing holds it back" in panelctl("explain", "dryer", *at).stdout

    assert rig.client is not None
    assert rig.client.command(SetTier("t", "dryer", 6)).accepted
    rig.until(lambda r: circuit(r, "dryer")["tier"] == 6, 2)
    assert not rig.client.command(SetTier("t2", "compute", 6)).accepted
    assert rig.client.command(RequestLimit("t3", None, 0)).accepted

    file = tmp_path / "day.jsonl.gz"
    done = panelctl("record", str(file), "--for", "2s", "--json", *at)
    assert done.returncode == 0
    recording = read_recording(file)
    assert recording.hello["config"] == Path("panelctl/sim/demo.toml").read_text()
    records = list(recording.records)
    assert len(records) > 15
    (decision,) = records[1]["decisions"]
    assert len(decision["slots"]) == len(decision["value"]) == len(decision["age_ns"])
    assert panelctl("record", str(file), *at).returncode == 1, "a recording is never replaced"


def test_an_orderly_stop(rig: PanelRig) -> None:
    assert rig.run is not None
    rig.run.send_signal(signal.SIGTERM)
    assert rig.run.wait(timeout=5) == 0
    truth = rig.truth_until(lambda t: t["draw_w"]["compute"] < 1300)
    assert all(truth["closed"].values()), "relays hold"
    assert not (rig.folder / "control.sock").exists()


def test_read_only_watches_and_writes_nothing(tmp_path: Path) -> None:
    rig = PanelRig(tmp_path)
    try:
        before = rig.bench.truth()
        rig.start("--read-only")
        record = rig.until(lambda r: r["state"] == "NORMAL" and r["seq"] > 30, 15)
        assert record["compute"] is None
        assert record["legs"]["a"]["a"] > 1
        assert all("ordered" not in item for item in record["circuits"])
        truth = rig.bench.truth()
        assert truth["closed"] == before["closed"]
        at = ("--socket", str(tmp_path / "control.sock"))
        refused = panelctl("relay", "open", "dryer", *at)
        assert refused.returncode == 1
        assert "not armed" in refused.stdout + refused.stderr
    finally:
        rig.stop()


def test_a_recording_from_the_first_cycle_on_is_decided_again(tmp_path: Path) -> None:
    """Over real wires: `record --wait` is there before the controller."""
    rig = PanelRig(tmp_path)
    tape, at = tmp_path / "first.jsonl", ("--socket", str(tmp_path / "control.sock"))
    command = [sys.executable, "-m", "panelctl", "record", str(tape), "--wait", "--for", "6s", *at]
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as recorder:
            rig.start()
            rig.until(lambda r: r["state"] == "NORMAL", 15)
            assert panelctl("relay", "open", "dryer", *at).returncode == 0
            recorder.communicate(timeout=30)
        again = panelctl("replay", str(tape))
        assert again.returncode == 0, again.stdout + again.stderr
        assert "all the same, to the bit" in again.stdout
    finally:
        rig.stop()


@pytest.mark.alone
def test_a_reader_that_is_stuck_costs_no_cycle(rig: PanelRig) -> None:
    with socket.socket(socket.AF_UNIX) as stuck, socket.socket(socket.AF_UNIX) as hostile:
        stuck.connect(str(rig.folder / "control.sock"))
        stuck.sendall(b'{"v":2,"do":"watch"}\n')
        hostile.connect(str(rig.folder / "control.sock"))
        first = rig.until(lambda r: True, 2)
        with suppress(BrokenPipeError, ConnectionResetError):  # thrown out while it still sends
            for _ in range(200):
                hostile.sendall(
                    b'{"v":2,"do":"open","id":"x","circuit":"' + b"z" * 30 + b'"}\n{]\n'
                )
        last = rig.until(lambda r: r["seq"] >= first["seq"] + 60, 10)
    assert last["timing"]["overruns"] - first["timing"]["overruns"] <= 1
    assert last["state"] == "NORMAL"


def test_systemd_is_told(tmp_path: Path) -> None:
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(tmp_path / "notify"))
    notify.settimeout(10)
    os.environ["NOTIFY_SOCKET"] = str(tmp_path / "notify")
    try:
        made = PanelRig(tmp_path)
        try:
            made.start()
            said = [notify.recv(100).decode() for _ in range(5)]
            assert said[0] == "READY=1"
            assert said.count("WATCHDOG=1") >= 3
            assert made.run is not None
            made.run.send_signal(signal.SIGTERM)
            while "STOPPING" not in (line := notify.recv(100).decode()):
                pass
            assert line == "STOPPING=1"
        finally:
            made.stop()
    finally:
        del os.environ["NOTIFY_SOCKET"]
        notify.close()


def test_a_shadow_decides_on_real_wires_and_writes_nothing(tmp_path: Path) -> None:
    """The links refuse to write, the report is there when it ends, and no service shows it."""
    text = Path("panelctl/sim/demo.toml").read_text().replace("armed = true", "armed = false")
    config = tmp_path / "panel.toml"
    config.write_text(text)
    made = PanelRig(tmp_path, config)
    try:
        made.start("--shadow")
        assert made.client is not None
        assert made.client.hello["shadow"]
        made.until(lambda r: r["state"] == "NORMAL", 15)
        for name, watts in (("range", 11_000), ("dryer", 5_000), ("water_heater", 4_500)):
            made.bench.ask(do="demand", circuit=name, w=watts)
        for name in ("heat_strips", "heat_pump", "hot_tub", "pool_pump"):
            made.bench.ask(do="demand", circuit=name, w=9_000)
        made.until(lambda r: any(e["what"] == "shed" for e in r["events"]), 15)
        at = ("--socket", str(tmp_path / "control.sock"))
        assert "in shadow: nothing is written" in panelctl("relay", "open", "laundry", *at).stdout
        assert "In shadow" in panelctl("explain", "laundry", *at).stdout
        assert json.loads(panelctl("status", "--json", *at).stdout)["shadow"] is True
        shown = panelctl("status", "--socket", str(tmp_path / "control.sock")).stdout
        assert "SHADOW" in shown
        assert all(made.bench.truth()["closed"].values())
        broker = ("--broker", "mqtt://127.0.0.1:1")
        served = panelctl("serve", "--socket", str(tmp_path / "control.sock"), *broker)
        assert served.returncode == 2
        assert "shadow" in served.stderr
        assert made.run is not None
        made.run.send_signal(signal.SIGTERM)
        assert made.run.wait(timeout=10) == 0
    finally:
        made.stop()
    done = panelctl("shadow", "report", "--state", str(tmp_path / "state"), "--json")
    assert done.returncode == 1, "a week is asked for"
    account = json.loads(done.stdout)
    assert sum(tally["sheds"] for tally in account["circuits"].values()) > 0
    assert account["seen_s"] > 0.5
    assert "let it run for a week" in account["against"][0]
    assert "nothing is written" in (tmp_path / "run.log").read_text()
