"""Commands, judged: refused with a reason, or carried out at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from panelctl.errors import CommandRefused
from panelctl.model.circuit import Role
from panelctl.model.command import (
    AcceptDevice,
    AckFault,
    CloseRelay,
    Command,
    Envelope,
    Grid,
    Lease,
    LimitPower,
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
    judge: Any = JUDGES[type(command)]  # of this very type
    judge(engine, command, now_ns)


def _open(engine: Engine, command: OpenRelay, now_ns: int) -> None:
    i = _managed(engine, command.circuit)
    engine.core.claim(i, int(Claim.USER), int(Reason.USER), now_ns)


def _close(engine: Engine, command: CloseRelay, now_ns: int) -> None:
    i = _managed(engine, command.circuit)
    claims = Claim(engine.state.claims[i])
    name = engine.loads[i].name
    engine.state.worn_ns[i] = 0  # a person asked: the relay does not rest
    if not claims:
        raise CommandRefused(f"{name} is not open")
    if claims & BY_HAND:
        engine.core.release(i, int(BY_HAND), now_ns)
    elif claims & Claim.FAULT:
        fault = Reason(engine.state.fault[i]).name
        raise CommandRefused(
            f"{name} is held open by a fault ({fault}): look at it, then acknowledge it "
            f"(panelctl fault ack {command.circuit})"
        )
    else:
        raise CommandRefused(f"{name} is held open by {claims.named.name}, not by a user")


def _acknowledge(engine: Engine, command: AckFault, now_ns: int) -> None:
    i = _managed(engine, command.circuit)
    if not engine.state.claims[i] & Claim.FAULT and not engine.state.fault[i]:
        raise CommandRefused(f"{engine.loads[i].name} has no fault that waits for anybody")
    engine.core.release(i, int(Claim.FAULT), now_ns)


def _limit(engine: Engine, command: RequestLimit, now_ns: int) -> None:
    limit_a = command.limit_a
    if limit_a is None:
        engine.limits.take_back(LimitName.REQUESTED)
        return
    setting = engine.panel.service.control_setting_a
    if limit_a > setting:
        raise CommandRefused(f"{limit_a:g} A is above the control setting of {setting:g} A")
    until_ns = now_ns + ns_from_s(command.expires_s)
    engine.limits.put(LimitName.REQUESTED, Amount(limit_a=limit_a), until_ns, "user")


def _limit_power(engine: Engine, command: LimitPower, now_ns: int) -> None:
    i = _managed(engine, command.circuit)
    if command.limit_w is None:
        engine.power_limits.take_back(i)
    else:
        engine.power_limits.put(i, command.limit_w, now_ns + ns_from_s(command.expires_s))


def _tier(engine: Engine, command: SetTier, now_ns: int) -> None:
    i = _managed(engine, command.circuit)
    if engine.loads[i].is_compute:
        raise CommandRefused("the compute load stands after the household")
    engine.set_tier(i, command.tier)


def _envelope(engine: Engine, command: Envelope, now_ns: int) -> None:
    engine.limits.put_windows(command.from_now(now_ns), command.source)


def _accept(engine: Engine, command: AcceptDevice, now_ns: int) -> None:
    """Whether there is such a device; the field carries it out."""
    names = [known.name for known in engine.panel.devices]
    if command.device not in names:
        listed = ", ".join(names)
        raise CommandRefused(f"there is no device {command.device!r}; there is {listed}")


def _grid(engine: Engine, command: Grid, now_ns: int) -> None:
    if engine.panel.backup is None:
        raise CommandRefused("the panel file has no [backup]: it cannot run off the grid")
    if command.islanded:
        engine.limits.go_off_grid(command.soc)
    else:
        engine.limits.go_on_grid()


def _lease(engine: Engine, command: Lease, now_ns: int) -> None:
    if engine.panel.service.lease_default_w is None:
        raise CommandRefused("the panel file has no service.lease_default_w: nothing is shared")
    newest = engine.limits.lease_number
    if command.number <= newest:
        raise CommandRefused(f"lease {command.number} is not newer than {newest}")
    until_ns = now_ns + ns_from_s(command.expires_s)
    engine.limits.put_lease(command.import_w, until_ns, command.number, command.source)


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


# By type, complete: a test holds it against the table of commands.
JUDGES = {
    OpenRelay: _open,
    CloseRelay: _close,
    AckFault: _acknowledge,
    RequestLimit: _limit,
    LimitPower: _limit_power,
    SetTier: _tier,
    Envelope: _envelope,
    Grid: _grid,
    Lease: _lease,
    AcceptDevice: _accept,
}
