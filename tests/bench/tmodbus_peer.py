"""tmodbus as a peer, run by a Python of its own: it needs 3.12, and panelctl runs on 3.11 too.

`python tmodbus_peer.py PATH BAUD COUNT SECONDS POLLS` asks what bus_peers.py asks the others, and
prints asked, wrong, failed, seconds and CPU seconds as JSON. Imports nothing of panelctl.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from tmodbus import create_async_rtu_client
from tmodbus.exceptions import TModbusError

ADDRESSES = (0, 50)


async def main(path: str, baud: int, count: int, seconds: float, polls: int) -> None:
    """Ask for the two addresses in turn, for so long or so often."""
    asked = wrong = failed = n = 0
    client = create_async_rtu_client(
        path,
        unit_id=1,
        timeout=seconds if polls else 0.5,
        auto_reconnect=False,
        retry_on_device_busy=False,
        baudrate=baud,
        stopbits=2,
    )
    await client.connect()
    begin_s, cpu_s = time.monotonic(), time.process_time()
    while n < polls if polls else time.monotonic() - begin_s < seconds:
        address = ADDRESSES[n % 2]
        n += 1
        try:
            values = await client.read_input_registers(address, count)
        except (TModbusError, TimeoutError, OSError):
            failed += 1
            continue
        asked += 1
        wrong += values[0] != address
    took_s, used_s = time.monotonic() - begin_s, time.process_time() - cpu_s
    await client.disconnect()
    print(json.dumps([asked, wrong, failed, took_s, used_s]))


asyncio.run(
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
)
