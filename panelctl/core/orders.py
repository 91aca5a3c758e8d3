"""Commands, judged: refused with a reason, or carried out at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from panelctl.errors import CommandRefused
from panelctl.model.circuit import Role
from panelctl.model.command import (
    AcceptDevice,
    Cap,
    CloseRelay,
    Command,
    Envelope,
    Grid,
    Lease,
    OpenRelay,
    RequestLimit,
    SetTier,
)
from panelctl.model.limit import Amount, LimitName
from panelctl.model.reason import Reason
from panelctl.model.relay import BY_HAND, Claim
from panelctl.units import ns_from_s

if TYPE_CHECKING:
    from panelctl.core.engine import Engine


def carry_out(engine: Engine, command: Command, now_ns: int) -> None:
    """Do what a person or a program asks. Raises CommandRefused, with the reason for them."""
    match command:
        case OpenRelay(_, ident):
            i = _managed(engine, ident)
            engine.core.claim(i, int(Claim.USER), int(Reason.USER), now_ns)
        case CloseRelay(_, ident):
            _close(engine, _managed(engine, ident), now_ns)
        case RequestLimit(_, limit_a, expires_s):
            _request(engine, limit_a, expires_s, now_ns)
        case SetTier(_, ident, tier):
            i = _managed(engine, ident)
            if engine.loads[i].is_compute:
                raise CommandRefused("the compute load stands after the household")
            engine.set_tier(i, tier)
        case Envelope():
            engine.limits.put_windows(command.windows(now_ns), command.source)
        case Grid(_, islanded, soc):
            _grid(engine, islanded, soc)
        case Lease():
            _lease(engine, command, now_ns)
        case Cap(_, ident, most_w, expires_s):
            i = _managed(engine, ident)
            if most_w is None:
                engine.caps.take_back(i)
            else:
                engine.caps.put(i, most_w, now_ns + ns_from_s(expires_s))
        case AcceptDevice(_, device):  # the field carries it out
            names = [known.name for known in engine.panel.devices]
            if device not in names:
                listed = ", ".join(names)
                raise CommandRefused(f"there is no device {device!r}; there is {listed}")


def _grid(engine: Engine, islanded: bool, soc: float | None) -> None:
    if engine.panel.backup is None:
        raise CommandRefused("the panel file has no [backup]: it cannot run off the grid")
    if islanded:
        engine.limits.go_off_grid(soc)
    else:
        engine.limits.go_on_grid()


def _lease(engine: Engine, lease: Lease, now_ns: int) -> None:
    if engine.panel.service.lease_default_w is None:
        raise CommandRefused("the panel file has no service.lease_default_w: nothing is shared")
    newest = engine.limits.lease_number
    if lease.number <= newest:
        raise CommandRefused(f"lease {lease.number} is not newer than {newest}")
    until_ns = now_ns + ns_from_s(lease.expires_s)
    engine.limits.put_lease(lease.import_w, until_ns, lease.number, lease.source)


def _managed(engine: Engine, ident: str) -> int:
    circuit = engine.circuits.get(ident)
    if circuit is None:
        raise CommandRefused(f"there is no circuit {ident!r}")
    if circuit.role is Role.ALWAYS_ON:
        raise CommandRefused(f"{circuit.name} is always on and never switched")
    if circuit.role is Role.MONITORED:
        raise CommandRefused(f"{circuit.name} is monitored only: it has no relay of ours")
    if not circuit.armed:
        raise CommandRefused(f"{circuit.name} is not armed: an installer has to arm it first")
    return engine.index[ident]


def _close(engine: Engine, i: int, now_ns: int) -> None:
    claims = Claim(engine.state.claims[i])
    name = engine.loads[i].name
    engine.state.worn_ns[i] = 0  # a person asked: the relay does not rest
    if claims & ~BY_HAND:
        engine.core.release(i, int(BY_HAND), now_ns)
        if claims & BY_HAND:
            return
        raise CommandRefused(f"{name} is held open by {claims.named.name}, not by a user")
    if not claims:
        raise CommandRefused(f"{name} is not open")
    engine.core.release(i, int(BY_HAND), now_ns)


def _request(engine: Engine, limit_a: float | None, expires_s: float, now_ns: int) -> None:
    if limit_a is None:
        engine.limits.take_back(LimitName.REQUESTED)
        return
    setting = engine.panel.service.control_setting_a
    if limit_a > setting:
        raise CommandRefused(f"{limit_a:g} A is above the control setting of {setting:g} A")
    until_ns = now_ns + ns_from_s(expires_s)
    engine.limits.put(LimitName.REQUESTED, Amount(limit_a=limit_a), until_ns, "user")
