"""Types of the compiled loop. Meaning and rules are in ext/panelctl/sim/virtual_loop.pyx."""

import asyncio

class Stuck(RuntimeError): ...

class VirtualLoop(asyncio.BaseEventLoop):
    now_ns: int
    def __init__(self, start_ns: int = ...) -> None: ...
    def stall(self, ns: int) -> None: ...
