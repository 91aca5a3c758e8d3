"""Reading a panel file: text to tables, tables to checks, checks to the model."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from panelctl.config.build import build_link, build_panel
from panelctl.config.checks import check_plan, check_tables
from panelctl.config.schema import PanelFile
from panelctl.errors import ConfigError, Problem
from panelctl.model.panel import Panel
from panelctl.model.problems import problems_of

MOST_BYTES = 1_000_000  # a panel file is a few kilobytes; anything else is not one


def parse_panel(text: str, file: str) -> Panel:
    """The panel described by `text`. Raises ConfigError with every problem that can be found."""
    try:
        plain = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a TOMLDecodeError is a ValueError
        raise ConfigError(file, [Problem("", "", f"is not TOML: {error}")]) from None
    try:
        tables = PanelFile.model_validate(plain)
    except ValidationError as error:
        raise ConfigError(file, problems_of(error.errors(), plain)) from None
    problems = check_tables(tables)
    if problems:
        raise ConfigError(file, problems)
    panel = build_panel(tables)
    problems = check_plan(panel)
    if problems:
        raise ConfigError(file, problems)
    return panel


def problems_if_armed(text: str, file: str) -> list[Problem]:
    """What the same file would be refused for if everything in it that can be were armed. Raises
    ConfigError where it is refused as it is.
    """
    parse_panel(text, file)
    tables = PanelFile.model_validate(tomllib.loads(text))
    circuits = [
        circuit.model_copy(update={"armed": circuit.role in ("switched", "modulated")})
        for circuit in tables.circuit
    ]
    armed = tables.model_copy(update={"circuit": circuits})
    return check_tables(armed) or check_plan(build_panel(armed))


def read_panel(path: Path, links: dict[str, str] | None = None) -> Panel:
    """The panel in the file at `path`; `links` replaces the URLs of links by name.

    Raises ConfigError with every problem, a missing or unreadable file included.
    """
    return read_panel_and_text(path, links)[0]


def read_panel_and_text(path: Path, links: dict[str, str] | None = None) -> tuple[Panel, str]:
    """The same, and the text of the file that it was read from. Raises ConfigError."""
    try:
        if path.stat().st_size > MOST_BYTES:
            remedy = f"is larger than {MOST_BYTES} bytes: not a panel file"
            raise ConfigError(str(path), [Problem("", "", remedy)])
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [Problem("", "", f"cannot be read: {error}")]) from None
    panel = parse_panel(text, str(path))
    if links:
        panel = replace_links(panel, links)
        if problems := check_plan(panel):
            raise ConfigError("--link", problems)
    return panel, text


def replace_links(panel: Panel, urls: dict[str, str]) -> Panel:
    """The same panel with other URLs for the named links. Raises ConfigError when one is wrong."""
    links = list(panel.links)
    problems = []
    for name, url in urls.items():
        at = next((n for n, link in enumerate(links) if link.name == name), None)
        if at is None:
            problems.append(Problem(f"link {name}", url, "is no link of this file"))
            continue
        try:
            links[at] = build_link(name, url)
        except ValueError as error:
            problems.append(Problem(f"link {name}", url, str(error)))
    if problems:
        raise ConfigError("--link", problems)
    return dataclasses.replace(panel, links=tuple(links))


def schema() -> dict[str, Any]:
    """The JSON Schema of the panel file, for editors."""
    return PanelFile.model_json_schema(by_alias=True)
