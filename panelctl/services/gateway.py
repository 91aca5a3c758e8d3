"""Between the controller and the broker: records become the tree's values, `/set` becomes commands.

The controller never waits for any of this; when it is gone, the tree says so.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

from panelctl.errors import CommandRefused, ServiceError, SocketError
from panelctl.link.follower import Follower
from panelctl.model.record import CycleRecord, HelloRecord
from panelctl.services.ebus.tree import Changes, Tree
from panelctl.services.hass import config_topic, discovery
from panelctl.services.homie import Device, Leaf, Pace
from panelctl.services.journal import Journal
from panelctl.services.mqtt import Broker, Message, MqttClient
from panelctl.services.retained import component_platforms, retained_paths

PREFIX = "ebus/5"
BIRTH = "homeassistant/status"
DESCRIPTION = "$description"
MOST_COMMAND = 4096
FOUND_S = 0.5
MOST_WAITING = 64
MOST_CLEARED = 20_000  # topics that are cleared of what was before
BURST, PER_S = 40.0, 20.0  # commands from outside: more than that is not people
MOST_AGE_S = 4.0  # clients give a command up after five
GONE_S = 2.0  # a controller that restarts is back before anybody has to know
LOG = logging.getLogger("panelctl.mqtt")


class Gateway:
    """Publishes one panel. `root` is its serial number as a Homie id, `hass` adds Home Assistant's
    discovery, and `version` is where the versions of descriptions begin: they have to grow over
    restarts too.
    """

    def __init__(self, socket: Path, broker: Broker, root: str, hass: bool, version: int) -> None:
        self.follower = Follower(socket, self._hello, self._record, self._lost)
        will = Message(f"{PREFIX}/{root}/$state", "lost")
        topics = [f"{PREFIX}/+/+/+/set", f"{PREFIX}/+/{DESCRIPTION}"]
        if hass:
            topics += [BIRTH, config_topic(root)]
        self.client = MqttClient(
            broker, will, topics, self._everything, self._received, self._found
        )
        self.root = root
        self.record: CycleRecord | None = None
        self.journal = Journal()
        self.refused = 0  # commands that were out of shape, or refused by the controller
        self.dropped = 0  # commands that came faster than anybody can want
        self._hass = hass
        self._hello_seen: HelloRecord | None = None
        self._tree: Tree | None = None
        self._changes: Changes | None = None
        self._texts: dict[str, str | None] = {}
        self._version = self.started_ms = version
        self._ready = False  # a record has come since the hello
        self._told_ready = False  # and the broker may have been told so
        self._paths: set[str] = set()  # everything that is retained of the present tree
        self._cleared: dict[str, Message] = {}  # what was retained before, and is there no more
        self._components: dict[str, str] = {}  # what Home Assistant is told of, and the platforms,
        self._gone_components: dict[str, str] = {}  # and what it was told of before
        self._gone: asyncio.TimerHandle | None = None
        self._again: asyncio.TimerHandle | None = None  # something is found that has to go
        self._orders: asyncio.Queue[tuple[float, Leaf, str]] = asyncio.Queue(MOST_WAITING)
        self._numbers = count(1)
        self._credit, self._credit_s = BURST, 0.0
        self._hurried_s = 0.0  # when somebody was told last that commands come too fast

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.follower.run())
            group.create_task(self.client.run())
            group.create_task(self._obey())

    @property
    def tree(self) -> Tree | None:
        """The tree, once the controller has been heard."""
        return self._tree

    # -- from the controller ----------------------------------------------------------------------

    def _hello(self, hello: HelloRecord) -> None:
        refuse_shadow(hello)
        facts: HelloRecord = {**hello, "start": {}, "config": ""}  # which the tree does not show
        if facts == self._hello_seen:
            return
        before = self._tree
        self._hello_seen = facts
        self._tree = Tree(hello)
        if self._tree.root.id != self.root:
            changed = f"the panel's serial has changed to {hello['serial']}"
            raise ServiceError(f"{changed}: the will is of {self.root}; start the service again")
        self._changes = Changes(self._tree)
        self._texts, self._ready = {}, False
        self._version += 1
        self._paths = {path for device in self._tree.devices for path in _paths(device)}
        if before is not None:
            for device in before.devices:
                self._clear(_paths(device))
        for path in self._paths:
            self._cleared.pop(path, None)
        self._gone_components |= self._components
        for _, payload in discovery(self._tree, PREFIX, {}):
            self._components = component_platforms(payload)
        for ident in self._components:
            self._gone_components.pop(ident, None)

    def _clear(self, paths: list[str]) -> bool:
        """Remember to clear what is there no more; whether some of it is new."""
        new = [path for path in paths if path not in self._paths and path not in self._cleared]
        for path in new[: MOST_CLEARED - len(self._cleared)]:
            self._cleared[path] = Message(f"{PREFIX}/{path}", None)
        return bool(new)

    def _found(self, topic: str, payload: bytes) -> None:
        """What an earlier run has left on the broker, or this one before it lost the connection."""
        if topic == config_topic(self.root):
            told = component_platforms(payload).items() - self._components.items()
            gone = {ident: platform for ident, platform in told if ident not in self._components}
            new = bool(gone.items() - self._gone_components.items())
            self._gone_components |= gone
        else:
            device = topic.removeprefix(f"{PREFIX}/").removesuffix(f"/{DESCRIPTION}")
            new = self._clear(retained_paths(device, payload, self.root))
        if new and self._again is None:  # more may be found: all of it is cleared at once
            self._again = asyncio.get_running_loop().call_later(FOUND_S, self._anew)

    def _anew(self) -> None:
        self._again = None
        self.client.again()

    def _record(self, record: CycleRecord) -> None:
        assert self._changes is not None
        self._stay()
        self.record = record
        self.journal.record(record)
        changed = dict(self._changes.since(record))
        self._texts.update(changed)
        if not self._ready:
            self._ready = self._told_ready = True
            self.client.again()
            return
        for path, text in changed.items():
            self.client.put(self._value(path, text))

    def _lost(self) -> None:
        if self._gone is None and self._told_ready:
            self._gone = asyncio.get_running_loop().call_later(GONE_S, self._leave)

    def _leave(self) -> None:
        self._gone, self.record = None, None
        self._ready = self._told_ready = False
        LOG.warning("the controller is gone")
        self.client.put(Message(f"{PREFIX}/{self.root}/$state", "lost"))

    def _stay(self) -> None:
        if self._gone is not None:
            self._gone.cancel()
            self._gone = None

    # -- to the broker ----------------------------------------------------------------------------

    def _discovery(self) -> Iterator[Message]:
        """What Home Assistant is told: of what is gone once, and not retained."""
        assert self._tree is not None
        if self._gone_components:
            for topic, payload in discovery(self._tree, PREFIX, self._gone_components):
                yield Message(topic, payload, retain=False)
        for topic, payload in discovery(self._tree, PREFIX, {}):
            yield Message(topic, payload)

    def _discover(self) -> None:
        """Tell Home Assistant once more what there is."""
        if self._ready:
            for message in self._discovery():
                self.client.put(message)

    def _value(self, path: str, text: str | None) -> Message:
        assert self._tree is not None
        pace = self._tree.leaves[path].property.pace
        return Message(f"{PREFIX}/{path}", text, qos=1 if pace is Pace.AT_ONCE else 0)

    def _everything(self) -> Iterator[Message]:
        """The whole tree in the order that Homie asks for: the root's `ready` comes last."""
        tree = self._tree
        if tree is None or not self._ready:
            yield Message(f"{PREFIX}/{self.root}/$state", "lost")
            return
        self._version += 1
        yield Message(f"{PREFIX}/{self.root}/$state", "init")
        yield from self._cleared.values()
        for device in tree.devices:
            yield from self._device(device)
        if self._hass:
            yield from self._discovery()

    def _device(self, device: Device) -> Iterator[Message]:
        yield Message(f"{PREFIX}/{device.id}/$state", "init")
        described = json.dumps(device.describe(self._version), separators=(",", ":"))
        yield Message(f"{PREFIX}/{device.id}/$description", described)
        for leaf in device.leaves():
            yield self._value(leaf.path, self._texts.get(leaf.path))  # or clear what is from before
        yield Message(f"{PREFIX}/{device.id}/$state", "ready")

    # -- commands ---------------------------------------------------------------------------------

    def _received(self, topic: str, payload: bytes) -> None:
        if topic == BIRTH:
            if payload == b"online":
                self._discover()
            return
        path = topic.removeprefix(f"{PREFIX}/").removesuffix("/set")
        leaf = self._tree.leaves.get(path) if self._tree is not None else None
        if leaf is None or leaf.property.write is None:
            return  # another panel's, or nothing that can be set
        if not self._may():
            self.dropped += 1
            self._hurried(leaf)
            return
        try:
            if len(payload) > MOST_COMMAND:
                raise CommandRefused(f"more than {MOST_COMMAND} bytes")
            now_s = asyncio.get_running_loop().time()
            self._orders.put_nowait((now_s, leaf, payload.decode()))
        except (CommandRefused, UnicodeDecodeError) as error:
            self._refuse(leaf, str(error))
        except asyncio.QueueFull:
            self.dropped += 1
            self._hurried(leaf)

    def _hurried(self, leaf: Leaf) -> None:
        """Say now and then that commands come too fast: one message each would be a flood too."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._hurried_s >= 1.0:
            self._hurried_s = now_s
            text = f"{leaf.path}: commands come too fast, and are dropped"
            self.client.put(Message(f"{PREFIX}/{leaf.device}/$log/warn", text, retain=False))

    def _may(self) -> bool:
        """Whether another command may come already."""
        now_s = asyncio.get_running_loop().time()
        self._credit = min(BURST, self._credit + (now_s - self._credit_s) * PER_S)
        self._credit_s = now_s
        if self._credit < 1.0:
            return False
        self._credit -= 1.0
        return True

    async def _obey(self) -> None:
        """Hand commands to the controller, one after the other."""
        while True:
            came_s, leaf, text = await self._orders.get()
            if asyncio.get_running_loop().time() - came_s > MOST_AGE_S:
                self._refuse(leaf, "the controller was busy for too long")
                continue
            try:
                why = await self._order(leaf, text)
            except (CommandRefused, SocketError) as error:
                why = str(error)
            told = self._texts.get(leaf.path)
            if told is not None and leaf.property.says(told, text):
                self.client.put(self._value(leaf.path, told))  # it is so already: say it again
            elif why:
                self._refuse(leaf, why)

    async def _order(self, leaf: Leaf, text: str) -> str:
        """Hand one command to the controller; why it was refused, or nothing."""
        assert leaf.property.write is not None
        order = leaf.property.write(text)
        if leaf.property.once and self._texts.get(leaf.path) == text:
            return ""
        number = next(self._numbers)
        verdict = await self.follower.command(replace(order, id=f"mqtt-{number}"))
        return "" if verdict.accepted else verdict.why

    def _refuse(self, leaf: Leaf, why: str) -> None:
        self.refused += 1
        text = f"{leaf.path}: {why}"[:300]
        LOG.info("refused: %s", text, extra={"fields": {"topic": leaf.path, "why": why[:300]}})
        self.client.put(Message(f"{PREFIX}/{leaf.device}/$log/warn", text, retain=False))


def refuse_shadow(hello: HelloRecord) -> None:
    """Nobody outside is shown a house that is not so. Raises ServiceError."""
    if hello["shadow"]:
        raise ServiceError(
            "the controller runs in shadow: its relays and currents are not the real ones, and are "
            "not published; `panelctl shadow report` and `panelctl status` show them"
        )


def _paths(device: Device) -> list[str]:
    """Everything that is retained of a device, in the order in which it is cleared."""
    leaves = (leaf.path for leaf in device.leaves())
    return [f"{device.id}/$state", *leaves, f"{device.id}/{DESCRIPTION}"]
