"""Who may do what at the broker: clients with a role each, the hashes of their passwords, and the
broker's files that follow from them. Deny is the default: what no rule allows, the broker refuses.

The broker is mosquitto; its password file takes PBKDF2-SHA512, its ACL file one section a client.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from panelctl.errors import ServiceError
from panelctl.files import PRIVATE, put

ITERATIONS = 1_000  # passwords are 192 random bits: more would only slow the broker down
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
HASH = re.compile(r"\$7\$[1-9][0-9]{0,6}\$[A-Za-z0-9+/]{8,64}={0,2}\$[A-Za-z0-9+/]{80,100}={0,2}")
MOST_CLIENTS = 200


class TooManyClientsError(ServiceError):
    """There is no place for another client."""


class Role(StrEnum):
    """What a client may do besides reading the tree."""

    READER = "reader"  # nothing
    OWNER = "owner"  # relays, priorities, the requested limit, charging, flex requests
    INSTALLER = "installer"  # all that can be set
    PUBLISHER = "publisher"  # the gateway itself: it writes the tree


# Which properties a role may set: the part of the topic behind the device.
SETTABLE = {
    Role.READER: (),
    Role.OWNER: (
        "switch/relay",
        "load-shed/priority",
        "pcs/requested-import-limit",
        "charge-limit/owner-limit",
        "flex/request",
    ),
    Role.INSTALLER: ("+/+",),
}


@dataclass(frozen=True, slots=True)
class Client:
    """A client of the broker. `hash` is in the broker's own form; the password is nowhere."""

    name: str
    role: Role
    hash: str


def hash_password(password: str, salt: bytes | None = None) -> str:
    """The line that mosquitto compares a password with: PBKDF2-SHA512, `$7$` (mosquitto_passwd)."""
    salt = salt or secrets.token_bytes(12)
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    encoded = (base64.b64encode(part).decode() for part in (salt, made))
    return f"$7${ITERATIONS}${'$'.join(encoded)}"


def fits(password: str, stored: str) -> bool:
    """Whether a password is the one of a hash; it takes as long either way."""
    _, _, iterations, salt, digest = stored.split("$")
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), base64.b64decode(salt), int(iterations))
    return hmac.compare_digest(made, base64.b64decode(digest))


NOBODY = hash_password(secrets.token_urlsafe(24))  # a name that is not known takes as long


class Clients:
    """The clients of one broker, kept in `clients.json`; with every change the broker's files are
    written anew, `passwords` and `acl`, and the broker is told. Several processes may change them.
    Raises ServiceError.
    """

    def __init__(self, folder: Path, root: str) -> None:
        self._folder = folder
        self._root = root
        self.told = False  # the broker, of the last change
        self._clients = self._load()

    def _load(self) -> dict[str, Client]:
        path = self._folder / "clients.json"
        try:
            plain = json.loads(path.read_text("utf-8")) if path.exists() else []
            clients = [
                Client(_name(item["name"]), Role(item["role"]), str(item["hash"])) for item in plain
            ]
            if wrong := [client.name for client in clients if not HASH.fullmatch(client.hash)]:
                raise ValueError(f"the hash of {wrong[0]}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ServiceError(f"{path}: no list of clients: {error}") from None
        return {client.name: client for client in clients}

    def all(self) -> list[Client]:
        """Every client, by name."""
        return sorted(self._clients.values(), key=lambda client: client.name)

    def add(self, name: str, role: Role, anew: bool = True) -> str:
        """Add a client, or give it another role and a new password: returned here, kept nowhere.
        Without `anew` a name that is taken is refused.
        """
        password = secrets.token_urlsafe(24)
        made = Client(_name(name), role, hash_password(password))
        with self._changing():
            held = self._clients.get(name)
            if held is not None and (held.role is Role.PUBLISHER) is not (role is Role.PUBLISHER):
                raise ServiceError(f"{name!r} is the gateway's own name: choose another")
            if name in self._clients and not anew:
                raise ServiceError(f"there is a client {name!r} already")
            if name not in self._clients and len(self._clients) >= MOST_CLIENTS:
                raise TooManyClientsError(f"there are {MOST_CLIENTS} clients: revoke one first")
            self._clients[name] = made
        return password

    def write(self) -> None:
        """Write the broker's files anew: the rules of this version, for the clients that are."""
        with self._changing():
            pass

    def revoke(self, name: str) -> None:
        """Take a client's access away."""
        with self._changing():
            client = self._clients.pop(name, None)
            if client is None:
                raise ServiceError(f"there is no client {name!r}")
            if client.role is Role.PUBLISHER:
                raise ServiceError(f"{name!r} is the gateway itself: it would publish no more")

    def find(self, name: str, password: str) -> Client | None:
        """The client of that name and password."""
        client = self._clients.get(name)
        right = fits(password, client.hash if client is not None else NOBODY)
        return client if right else None

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Nobody else changes the list meanwhile; what the block leaves is written."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o750)
            with (self._folder / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._clients = self._load()
                yield
                self._save()
        except OSError as error:
            raise ServiceError(f"{self._folder}: {error}") from None

    def _save(self) -> None:
        plain = [asdict(client) for client in self.all()]
        passwords = "".join(f"{client.name}:{client.hash}\n" for client in self.all())
        put(self._folder / "clients.json", json.dumps(plain, indent=1).encode() + b"\n", PRIVATE)
        put(self._folder / "passwords", passwords.encode())
        put(self._folder / "acl", acl(self.all(), self._root).encode())
        self.told = reload_broker(self._folder)


def reload_broker(folder: Path) -> bool:
    """Let the broker read its files anew, if it runs and we may; whether it was told."""
    try:
        number = int((folder / "run" / "mosquitto.pid").read_text("ascii"))
        if Path(f"/proc/{number}/comm").read_text().strip() != "mosquitto":
            return False  # an old file: the number is somebody else's by now
        os.kill(number, signal.SIGHUP)
    except (OSError, ValueError):
        return False
    return True


def _name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ServiceError(f"{name!r}: a client's name is 1 to 64 of A-Z, a-z, 0-9, _ . and -")
    return name


def acl(clients: list[Client], root: str) -> str:
    """The broker's ACL file. Devices of a panel have ids that begin with the root's; MQTT has no
    wildcard for that, so a broker of several panels needs a file for each of them.
    """
    lines = [f"# Written by panelctl for the panel {root}; changes here are lost.", ""]
    for client in clients:
        lines.append(f"user {client.name}")
        if client.role is Role.PUBLISHER:
            lines += ["topic readwrite ebus/5/#", "topic write homeassistant/#"]
            lines.append("topic read homeassistant/status")
            lines.append(f"topic read homeassistant/device/{root}/config")
        else:
            lines += ["topic read ebus/5/#", "topic read homeassistant/#"]
            lines += [f"topic write ebus/5/+/{what}/set" for what in SETTABLE[client.role]]
            if client.role is not Role.READER:  # Home Assistant tells when it starts
                lines.append("topic write homeassistant/status")
        lines.append("")
    return "\n".join(lines)


def broker_file(folder: Path, port: int, tls_port: int, host: str) -> str:
    """A mosquitto.conf: TLS, plain on loopback alone, and nobody without a password."""
    return f"""# Written by panelctl. Start it with: mosquitto -c {folder}/mosquitto.conf
per_listener_settings false
allow_anonymous false
password_file {folder}/passwords
acl_file {folder}/acl
pid_file {folder}/run/mosquitto.pid
persistence false
max_packet_size 1048576
max_inflight_messages 100
max_queued_messages 2000
memory_limit 67108864

listener {port} 127.0.0.1
max_connections 32

listener {tls_port} {host}
max_connections 32
certfile {folder}/server.pem
keyfile {folder}/server.key
"""
