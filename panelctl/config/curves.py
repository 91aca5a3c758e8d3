"""Trip curves as data: the files in curves/, read and checked. Sums on them are core/thermal's."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from panelctl.config.schema import Strict
from panelctl.errors import ConfigError, Problem
from panelctl.model.breaker import Curve


class CurveFile(Strict):
    """A curve file. Ratios to the breaker's rating, seconds.

    `bound`: a minimum curve says how early a breaker may trip, a maximum curve how late. `assumed`:
    nobody measured or promised it.
    """

    name: Annotated[str, Field(min_length=3, max_length=80)]
    bound: Literal["minimum", "maximum"]
    assumed: bool
    ref_ratio: Annotated[float, Field(ge=1, le=1.5)]
    fast_share: Annotated[float, Field(ge=0, le=1)]
    fast_s: Annotated[float, Field(ge=0.5, le=10_000)]
    slow_s: Annotated[float, Field(ge=0.5, le=100_000)]
    source: Annotated[str, Field(min_length=10)]


def curve_names() -> list[str]:
    """Every curve there is."""
    files = resources.files("panelctl.config").joinpath("curves").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files)


def load_curve(name: str) -> Curve:
    """The curve of that name. Raises ConfigError when there is none, or its file is wrong."""
    if name not in curve_names():
        remedy = f"is no curve; there are {', '.join(curve_names())}"
        raise ConfigError("curves", [Problem("curve", name, remedy)])
    path = resources.files("panelctl.config").joinpath("curves", f"{name}.toml")
    try:
        table = CurveFile(**tomllib.loads(path.read_text()))
    except (ValidationError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(str(path), [Problem("", name, str(error))]) from None
    return Curve(
        name=name,
        ref_ratio=table.ref_ratio,
        fast_share=table.fast_share,
        fast_s=table.fast_s,
        slow_s=table.slow_s,
        gives_credit=table.bound == "minimum" and not table.assumed,
    )
