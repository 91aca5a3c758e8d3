"""`panelctl maps`: the register maps that there are, and one's own: shown, checked, tried."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from panelctl.cli.options import json_option
from panelctl.errors import ConfigError, Problem
from panelctl.modbus.capture import Decoded, decode_all, decode_with, parse_capture
from panelctl.modbus.maplint import lint
from panelctl.modbus.mappage import keys_table, maps_table
from panelctl.modbus.maps import RegisterMap, load_map, map_names, parse_map
from panelctl.modbus.mapschema import json_schema
from panelctl.modbus.physics import contradictions


@click.group("maps")
def command() -> None:
    """Register maps: what each kind of device holds where, as data.

    One's own lie in /etc/panelctl/maps or in the folders of $PANELCTL_MAPS.
    """


@command.command("list", epilog="Example: panelctl maps list --kind branch_meter")
@click.option("--kind", help="Only maps of this kind.")
@click.option("--markdown", is_flag=True, help="The table of the documentation.")
@json_option
def list_maps(kind: str | None, markdown: bool, as_json: bool) -> None:
    """Every map: its device, and whether a recording of a real one has proven it."""
    if markdown:
        click.echo(maps_table(), nl=False)
        return
    maps = [load_map(name) for name in map_names()]
    maps = [known for known in maps if kind in (None, known.kind)]
    if as_json:
        click.echo(json.dumps([_head(known) for known in maps]))
        return
    width = max((len(known.id) for known in maps), default=0)
    for known in maps:
        evidence = "verified" if known.verified else "unverified"
        click.echo(
            f"{known.id:<{width}}  {known.kind:<12} {evidence:<10} {known.vendor} {known.model}"
        )


@command.command("show", epilog="Example: panelctl maps show eastron_sdm630")
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """One map: its points, and how its device is read and written."""
    known = load_map(name)
    if as_json:
        points = [_point(known, point) for point in known.points]
        click.echo(json.dumps({**_head(known), "points": points}))
        return
    click.echo(f"{known.vendor} {known.model}: {known.kind} on {', '.join(known.links)}")
    click.echo(f"{'verified' if known.verified else 'unverified'}: {known.confidence}")
    click.echo(f"source: {known.source}")
    renews = f", new values every {known.renews_ms} ms" if known.renews_ms else ""
    click.echo(
        f"at most {known.max_registers} registers a read, {known.timeout_ms} ms to answer{renews}"
    )
    if known.setpoint is not None:
        setpoint = known.setpoint
        life = "EEPROM: not for control" if setpoint.wears else "volatile"
        click.echo(
            f"set-point: {setpoint.point.unit} at {setpoint.point.address}, {setpoint.least:g} to "
            f"{setpoint.most:g}, {life}"
        )
    for point in known.points.values():
        scale = f" x 10^{point.scale_point}" if point.scale_point else f" x {float(point.scale):g}"
        click.echo(
            f"  {point.table:<8} {point.address:>5}  {point.type:<4} {point.name:<28}"
            f"{scale if scale != ' x 1' else ''} {point.unit}"
        )


@command.command("lint", epilog="Example: panelctl maps lint my_meter.toml")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
)
@json_option
def lint_files(files: tuple[Path, ...], as_json: bool) -> None:
    """Check map FILES before they are used. Exit code 1 when one is wrong."""
    found: list[dict[str, Any]] = []
    wrong = False
    for file in files:
        try:
            known = parse_map(file.read_text("utf-8"), str(file))
            problems = list(lint(known))
            if known.id != file.stem:
                raise ConfigError(str(file), [Problem("id", known.id, f"must be {file.stem}")])
            errors: list[Problem] = []
        except UnicodeDecodeError:
            errors, problems = [Problem("", "", "is not UTF-8")], []
        except ConfigError as error:
            errors, problems = error.problems, []
        wrong = wrong or bool(errors)
        found.append({"file": str(file), "errors": _plain(errors), "look_again": _plain(problems)})
        if not as_json:
            _tell(file, errors, problems)
    if as_json:
        click.echo(json.dumps(found))
    if wrong:
        raise SystemExit(1)


@command.command("decode", epilog="Example: panelctl maps decode dump.json --map eastron_sdm630")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--map", "name", help="The device's map; without it SunSpec models are looked for.")
@json_option
def decode(file: Path, name: str | None, as_json: bool) -> None:
    """Decode recorded registers (from `panelctl dump`), and say what in them cannot be true.

    Exit code 1 when readings contradict each other, or nothing could be decoded.
    """
    try:
        tables = parse_capture(file.read_text("utf-8"), str(file))
    except UnicodeDecodeError:
        raise ConfigError(str(file), [Problem("", "", "is not UTF-8")]) from None
    found = decode_with(load_map(name), tables) if name else decode_all(tables)
    if as_json:
        click.echo(json.dumps([_decoded(decoded) for decoded in found]))
    else:
        for decoded in found:
            _print(decoded)
    if not any(decoded.values for decoded in found):
        click.echo(f"{file}: nothing in it could be decoded", err=True)
        raise SystemExit(1)
    if any(_contradictions(decoded) for decoded in found):
        raise SystemExit(1)


@command.command("schema", epilog="Example: panelctl maps schema > map.schema.json")
@click.option("--markdown", is_flag=True, help="The tables of the documentation.")
def schema(markdown: bool) -> None:
    """Print the JSON Schema of a register map, for editors."""
    click.echo(keys_table() if markdown else json.dumps(json_schema(), indent=2), nl=not markdown)


def _head(known: RegisterMap) -> dict[str, Any]:
    return {
        "id": known.id,
        "vendor": known.vendor,
        "model": known.model,
        "kind": known.kind,
        "links": list(known.links),
        "verified": known.verified,
        "confidence": known.confidence,
        "source": known.source,
    }


def _point(known: RegisterMap, name: str) -> dict[str, Any]:
    point = known.points[name]
    return {
        "name": name,
        "table": point.table,
        "address": point.address,
        "type": point.type,
        "scale": str(float(point.scale)),
        "scale_point": point.scale_point,
        "unit": point.unit,
    }


def _plain(problems: list[Problem]) -> list[dict[str, str]]:
    return [{"path": p.path, "value": p.value, "remedy": p.remedy} for p in problems]


def _tell(file: Path, errors: list[Problem], problems: list[Problem]) -> None:
    if errors:
        click.echo(str(ConfigError(str(file), errors)), err=True)
        return
    click.echo(f"{file}: right" + (", and worth another look:" if problems else ""))
    for problem in problems:
        click.echo(f"  {problem}")


def _numbers(decoded: Decoded) -> dict[str, float]:
    return {name: float(v) for name, v in decoded.values.items() if not isinstance(v, str)}


def _contradictions(decoded: Decoded) -> list[str]:
    return list(contradictions(_numbers(decoded)))


def _decoded(decoded: Decoded) -> dict[str, Any]:
    texts = {name: v for name, v in decoded.values.items() if isinstance(v, str)}
    return {
        "map": decoded.map.id,
        "model": decoded.model and decoded.model.id,
        "address": decoded.model and decoded.model.address,
        "values": {**texts, **_numbers(decoded)},
        "contradictions": _contradictions(decoded),
    }


def _print(decoded: Decoded) -> None:
    model = f", model {decoded.model.id} at {decoded.model.address}" if decoded.model else ""
    click.echo(f"{decoded.map.id}{model}:")
    for name, value in decoded.values.items():
        unit = decoded.map.points[name].unit
        shown = value if isinstance(value, str) else f"{float(value):g} {unit}"
        click.echo(f"  {name:<28} {shown}")
    for words in _contradictions(decoded):
        click.echo(f"  cannot be: {words}")
