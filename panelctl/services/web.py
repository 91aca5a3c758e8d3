"""The web face: eBus's REST calls (status, register, the CA, the schema, clients) and /metrics.

Rules
- A passphrase or token is compared in constant time, never echoed, never logged.
- Registering is tried a few times a minute and no more, by one address and by all together.
- /metrics answers this machine alone.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import json
import re
import secrets
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from panelctl import __version__
from panelctl.clock import wall_s
from panelctl.errors import ServiceError
from panelctl.services.access import Client, Clients, Role, TooManyClientsError
from panelctl.services.certificates import Files, certified
from panelctl.services.ebus.tree import Tree
from panelctl.services.gateway import Gateway
from panelctl.services.metrics import exposition, registry

MOST_BODY = 2048
TRIES, TRIES_S = 10, 60.0  # so often one address may try to register in so many seconds
MOST_TRIES = 60  # so often all addresses together may try in that time
MOST_NEW = 20  # so many of these tries may be right: there is place for 200 clients
LEAST_PASSPHRASE = 8
MOST_NAME = 64


@dataclass(frozen=True, slots=True)
class Access:
    """What `panelctl mqtt setup` left: host name and port of the broker, and the passphrase."""

    folder: Path
    root: str
    name: str
    tls_port: int
    passphrase: str

    @classmethod
    def read(cls, folder: Path) -> Access:
        """What is in the folder. Raises ServiceError."""
        try:
            plain = json.loads((folder / "setup.json").read_text("utf-8"))
            passphrase = (folder / "passphrase").read_text("utf-8").strip()
            if len(passphrase) < LEAST_PASSPHRASE:
                raise ValueError(f"the passphrase has less than {LEAST_PASSPHRASE} characters")
            return cls(
                folder, str(plain["root"]), str(plain["name"]), int(plain["tls_port"]), passphrase
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ServiceError(f"{folder}: run `panelctl mqtt setup` first ({error})") from None


class RestApi:
    """The calls of the web face of one gateway; without `access` nobody can register."""

    def __init__(self, gateway: Gateway, access: Access | None) -> None:
        self._gateway = gateway
        self._access = access
        self._figures = registry(gateway)
        self._tries: deque[tuple[float, str]] = deque(maxlen=MOST_TRIES)
        self._registered: deque[float] = deque(maxlen=MOST_NEW)  # when, those that were right
        self._hashing = asyncio.Semaphore(1)

    def app(self) -> Starlette:
        """As an ASGI application."""
        routes = [
            Route("/metrics", self._metrics),
            Route("/api/v2/status", self._status),
            Route("/api/v2/homie/schema", self._schema),
        ]
        if self._access is not None:
            routes += [
                Route("/api/v2/auth/register", self._register, methods=["POST"]),
                Route("/api/v2/certificate/ca", self._ca),
                Route("/api/v2/auth/clients", self._list),
                Route("/api/v2/auth/clients/{name}", self._client, methods=["GET", "DELETE"]),
            ]
        return Starlette(routes=routes)

    async def _metrics(self, request: Request) -> Response:
        if not _is_local(request):
            return PlainTextResponse("this machine alone\n", 403)
        text = exposition(self._figures)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _status(self, request: Request) -> Response:
        firmware = f"panelctl/{__version__}"
        return JSONResponse({"serialNumber": self._gateway.root, "firmwareVersion": firmware})

    async def _schema(self, request: Request) -> Response:
        tree = self._gateway.tree
        if tree is None:
            return _problem(503, "the controller has not been heard yet")
        return JSONResponse(schema(tree))

    async def _ca(self, request: Request) -> Response:
        assert self._access is not None
        try:
            pem = Files(self._access.folder).ca.read_text("utf-8")
        except OSError:
            return _problem(503, "the certificate cannot be read")
        return PlainTextResponse(pem, media_type="application/x-pem-file")

    async def _register(self, request: Request) -> Response:
        access = self._access
        assert access is not None
        wait_s = self._wait_s(request.client.host if request.client else "")
        if wait_s:
            return _problem(429, "too many tries", {"Retry-After": str(wait_s)})
        mine = self._tries[-1]
        body = await _body(request)
        if body is None:
            return _problem(422, "a JSON object with name and hopPassphrase is needed")
        given = str(body.get("hopPassphrase", body.get("password"))).encode("utf-8", "replace")
        if not hmac.compare_digest(given, access.passphrase.encode()):
            return _problem(401, "the passphrase is not right")
        try:
            clients = Clients(access.folder, access.root)
            name = _user_name(body.get("name"))
            async with self._hashing:
                password = await asyncio.to_thread(clients.add, name, Role.OWNER, False)
        except TooManyClientsError as error:
            return _problem(503, str(error))  # of 422, clients say that the passphrase is wrong
        except ServiceError as error:
            return _problem(409, str(error))
        with suppress(ValueError):
            self._tries.remove(mine)  # it was no guess
        self._registered.append(asyncio.get_running_loop().time())
        host = self._reached(request)
        token = base64.urlsafe_b64encode(f"{name}:{password}".encode()).decode()
        told = {
            "accessToken": token,
            "tokenType": "Bearer",
            "iatMs": int(wall_s() * 1000),
            "ebusBrokerUsername": name,
            "ebusBrokerPassword": password,
            "ebusBrokerHost": host,
            "ebusBrokerMqttsPort": access.tls_port,
            "ebusBrokerWsPort": 0,
            "ebusBrokerWssPort": 0,
            "hostname": host,
            "serialNumber": access.root,
            "hopPassphrase": None,
        }
        return JSONResponse(told, headers={"Cache-Control": "no-store"})

    def _reached(self, request: Request) -> str:
        """The name or address by which this client reached us, where the broker's certificate has
        it; else the host's name, which not every network knows.
        """
        assert self._access is not None
        host = request.url.hostname or ""
        return host if host in certified(Files(self._access.folder)) else self._access.name

    def _wait_s(self, address: str) -> int:
        """How long that address has to wait before it may try to register; 0: it tries now."""
        now_s = asyncio.get_running_loop().time()
        while self._tries and now_s - self._tries[0][0] >= TRIES_S:
            self._tries.popleft()
        if len(self._registered) == MOST_NEW and now_s - self._registered[0] < TRIES_S:
            return round(TRIES_S - (now_s - self._registered[0])) + 1
        own = [at_s for at_s, other in self._tries if other == address]
        if len(own) >= TRIES or len(self._tries) == MOST_TRIES:
            since_s = own[0] if len(own) >= TRIES else self._tries[0][0]
            return round(TRIES_S - (now_s - since_s)) + 1
        self._tries.append((now_s, address))
        return 0

    async def _who(self, request: Request) -> Client | None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return None
        assert self._access is not None
        try:
            name, _, password = base64.urlsafe_b64decode(token).decode().partition(":")
            clients = Clients(self._access.folder, self._access.root)
        except (ValueError, ServiceError):
            return None
        async with self._hashing:  # one at a time; 192 random bits are not found by trying
            found = await asyncio.to_thread(clients.find, name, password)
        return found

    async def _list(self, request: Request) -> Response:
        if await self._who(request) is None:
            return _problem(401, "a valid token is needed")
        assert self._access is not None
        clients = Clients(self._access.folder, self._access.root).all()
        return JSONResponse([{"name": c.name, "role": c.role.value} for c in clients])

    async def _client(self, request: Request) -> Response:
        """Look at a client, or revoke it: oneself, or anybody as an installer."""
        who = await self._who(request)
        if who is None:
            return _problem(401, "a valid token is needed")
        name = request.path_params["name"]
        assert self._access is not None
        clients = Clients(self._access.folder, self._access.root)
        found = next((c for c in clients.all() if c.name == name), None)
        if found is None:
            return _problem(404, "there is no such client")
        if request.method == "GET":
            return JSONResponse({"name": found.name, "role": found.role.value})
        if found.role is Role.PUBLISHER or (who.name != name and who.role is not Role.INSTALLER):
            return _problem(403, "only an installer revokes others")
        await asyncio.to_thread(clients.revoke, name)
        return Response(status_code=204)


def schema(tree: Tree) -> dict[str, Any]:
    """The kinds of devices of a panel, for clients that choose a parser by it."""
    classes: dict[str, Any] = {}
    for device in tree.devices:
        described = device.describe(0)["nodes"]
        classes.setdefault(device.type, {}).update(described)
    canonical = json.dumps(classes, sort_keys=True, separators=(",", ":")).encode()
    return {
        "firmwareVersion": f"panelctl/{__version__}",
        "homieDomain": "ebus",
        "homieVersion": 5,
        "dataModelVersion": "1.0",
        "deviceClasses": classes,
        "deviceClassesSchemaHash": f"sha256:{hashlib.sha256(canonical).hexdigest()[:16]}",
    }


def _user_name(asked: object) -> str:
    """A client's name at the broker from the one that it gives itself, which may be any text."""
    text = re.sub(r"[^A-Za-z0-9_.-]+", "-", asked).strip("-_.") if isinstance(asked, str) else ""
    if text and text == asked and len(text) <= MOST_NAME:
        return text
    return f"{text[: MOST_NAME - 9] or 'client'}-{secrets.token_hex(4)}"  # others may become alike


def _is_local(request: Request) -> bool:
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


async def _body(request: Request) -> dict[str, Any] | None:
    """A small JSON object; None when it is something else."""
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > MOST_BODY:
            return None
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return plain if isinstance(plain, dict) else None


def _problem(code: int, why: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"detail": why}, code, headers)
