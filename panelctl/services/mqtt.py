"""One connection to an MQTT broker, kept up: the newest text of each topic goes out, from one task.

Whoever publishes never waits: `put` keeps the newest text of a topic until the broker takes it. The
library is aiomqtt, the present name of asyncio-mqtt.

Rules
- After each connect everything is published again: a broker may have lost what it retained.
- The will belongs to the connection: whoever needs another will needs another connection.
- What comes in is handed on as bytes; nothing it contains can raise here.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import aiomqtt
from paho.mqtt.subscribeoptions import SubscribeOptions

from panelctl.errors import ServiceError

KEEPALIVE_S = 10
TIMEOUT_S = 4.0
FIRST_RETRY_S, MOST_RETRY_S = 0.25, 3.0
MOST_AT_ONCE = 50  # messages on their way to the broker
MOST_CLEARED = 5000  # retained commands at a time that are taken away
# Retained at the broker or just now, a command shows it; of the rest we hear what others say.
AS_SENT = SubscribeOptions(qos=1, retainAsPublished=True)
OTHERS = SubscribeOptions(qos=1, noLocal=True)
MOST_WAITING_IN = 256  # messages from outside that wait to be looked at; more are dropped
LOG = logging.getLogger("panelctl.mqtt")
QUIET = logging.getLogger("panelctl.mqtt.library")
QUIET.setLevel(logging.CRITICAL)  # it would log every message that a flood makes it drop


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is, and who we are to it. `ca` is the file of the CA that must have signed
    its certificate; without it the connection is not encrypted.
    """

    host: str
    port: int
    username: str = ""
    password: str = ""
    ca: Path | None = None

    def context(self) -> ssl.SSLContext | None:
        """What TLS needs. Raises ServiceError."""
        if self.ca is None:
            return None
        try:
            return ssl.create_default_context(cafile=str(self.ca))
        except (OSError, ssl.SSLError) as error:
            raise ServiceError(f"{self.ca}: no certificates of a CA: {error}") from None


@dataclass(frozen=True, slots=True)
class Message:
    """What goes out. A text that is None clears what was retained."""

    topic: str
    text: str | None
    retain: bool = True
    qos: int = 1


class MqttClient:
    """Carries messages to a broker. `everything` is published after each connect, `received` is
    called with topic and payload of what comes in on `topics`, `found` with those of what was
    retained there before.

    A command that somebody retains is none, and is cleared. The name at the broker is always the
    same: a connection that the broker has not missed yet, its will included, ends with the next.
    """

    def __init__(
        self,
        broker: Broker,
        will: Message,
        topics: Iterable[str],
        everything: Callable[[], Iterable[Message]],
        received: Callable[[str, bytes], None],
        found: Callable[[str, bytes], None] = lambda topic, payload: None,
    ) -> None:
        self._broker = broker
        self._will = will
        self._topics = tuple(topics)
        self._everything = everything
        self._received = received
        self._found = found
        self._whole: deque[Message] = deque()  # what goes out first, in its order
        self._waiting: dict[str, Message] = {}
        self._woken = asyncio.Event()
        self.connected = False
        self.connects = 0
        self.sent = 0
        self.replaced = 0  # texts that were replaced by newer ones before they could go out

    def put(self, message: Message) -> None:
        """Publish as soon as it can be; a newer text of the same topic takes its place."""
        if not self.connected and message.retain:
            return  # it is in everything that goes out after the connect
        if self._waiting.pop(message.topic, None) is not None:
            self.replaced += 1
        self._waiting[message.topic] = message
        self._woken.set()

    def again(self) -> None:
        """Publish everything once more: the tree has another shape."""
        if self.connected:
            self._whole = deque(self._everything())
            strays = {t: message for t, message in self._waiting.items() if t.endswith("/set")}
            self._waiting = strays  # commands that somebody retained are no part of everything
            self._woken.set()

    @property
    def waiting(self) -> int:
        """How many messages wait to go out."""
        return len(self._whole) + len(self._waiting)

    async def run(self) -> None:
        """Stay connected until cancelled; then say goodbye in order."""
        context = self._broker.context()
        retry_s = FIRST_RETRY_S
        told = ""
        while True:
            try:
                async with self._client(context) as client:
                    if told:
                        LOG.info("connected to the broker again")
                    retry_s, told = FIRST_RETRY_S, ""
                    await self._serve(client)
            except aiomqtt.MqttError as error:
                if str(error) != told:
                    told = str(error)
                    broker = self._broker
                    why = f"{told}: {error.__cause__}" if error.__cause__ else told
                    LOG.warning("broker %s:%d: %s", broker.host, broker.port, why)
            finally:
                self.connected = False
            await asyncio.sleep(retry_s * random.uniform(0.7, 1.0))
            retry_s = min(2 * retry_s, MOST_RETRY_S)

    def _client(self, context: ssl.SSLContext | None) -> aiomqtt.Client:
        broker, will = self._broker, self._will
        return aiomqtt.Client(
            broker.host,
            broker.port,
            username=broker.username or None,
            password=broker.password or None,
            tls_context=context,
            identifier=f"panelctl-{will.topic.split('/')[-2]}",
            protocol=aiomqtt.ProtocolVersion.V5,
            keepalive=KEEPALIVE_S,
            timeout=TIMEOUT_S,
            will=aiomqtt.Will(will.topic, will.text, qos=1, retain=True),
            max_queued_incoming_messages=MOST_WAITING_IN,
            logger=QUIET,
        )

    async def _serve(self, client: aiomqtt.Client) -> None:
        tasks = [asyncio.create_task(self._hear(client))]  # much may be retained: from the start
        try:
            for topic in self._topics:
                await client.subscribe(topic, options=AS_SENT if topic.endswith("/set") else OTHERS)
            await client.subscribe(self._will.topic, options=OTHERS)
            self.connected = True
            self.connects += 1
            self.again()
            tasks.append(asyncio.create_task(self._send(client)))
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            with suppress(aiomqtt.MqttError):
                await client.publish(self._will.topic, "disconnected", qos=1, retain=True)
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, client: aiomqtt.Client) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            while batch := self._next():
                # Each begins in its turn, so the order is kept; only the answers come together.
                results = await asyncio.gather(
                    *(
                        client.publish(
                            m.topic,
                            m.text or "",
                            qos=m.qos,
                            retain=m.retain,
                            timeout=None if m.qos else math.inf,
                        )
                        for m in batch
                    ),
                    return_exceptions=True,
                )
                for result in results:
                    if isinstance(result, BaseException):
                        raise result
                self.sent += len(batch)

    def _next(self) -> list[Message]:
        """The messages that go out next, at most MOST_AT_ONCE."""
        batch: list[Message] = []
        while len(batch) < MOST_AT_ONCE and (self._whole or self._waiting):
            if self._whole:  # all with answers: only so they keep their order on the wire
                batch.append(replace(self._whole.popleft(), qos=1))
            else:
                batch.append(self._waiting.pop(next(iter(self._waiting))))
        return batch

    async def _hear(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            topic, payload = str(message.topic), message.payload
            if not isinstance(payload, bytes | bytearray):
                continue
            if topic == self._will.topic:
                if payload == (self._will.text or "").encode() and not message.retain:
                    self.again()  # an old connection of ours has died at last, and says so
            elif not message.retain:
                self._received(topic, bytes(payload))
            elif not topic.endswith("/set"):
                self._found(topic, bytes(payload))
            elif payload and len(self._waiting) < MOST_CLEARED:
                self._waiting[topic] = Message(topic, None)
                self._woken.set()
