"""What makes C of the rules refuses what C would understand otherwise."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import ModuleType

import pytest

from panelctl.core.decide.arith import ceildiv, floordiv
from panelctl.core.state import layout
from panelctl.model.reason import Reason
from tools.rules import RuleError, Source, Written, _function, memory_fields


def made(text: str, divide: object = None) -> str:
    """The Cython of one rule."""
    module = ModuleType("rule")
    module.Reason, module.FEW, module.MANY = Reason, 3, layout.NO_LIMIT_MA  # type: ignore[attr-defined]  # as imports would
    module.floordiv = divide or floordiv  # type: ignore[attr-defined]  # as an import would
    source = Source(Path("rule.py"), ast.parse(text), text.encode().splitlines(), module)
    written = Written(frozenset(memory_fields()), frozenset({"floordiv", "draw"}))
    return _function(source, source.functions[0], written)


def rule(body: str, takes: str = "m: Cells, i: int", gives: str = "int") -> str:
    """A rule with that body."""
    return f"def rule({takes}) -> {gives}:\n    {body}\n"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("return i // 2", "FloorDiv has no place"),
        ("return i % 2", "Mod has no place"),
        ("return i / 2", "Div has no place"),
        ("return i ** 2", "Pow has no place"),
        ("return 1 << i", "shift a variable"),
        ("return (i > 0) << i", "shift a variable"),
        ("return -1 << i", "shift a variable"),
        ("return i + 2 * 3", "what two literals make"),
        ("return sum([i])", "cannot call sum"),
        ("return len(m.s_tier)", "cannot call len"),
        ("return m.s_teir[i]", "no field s_teir"),
        ("return elsewhere", "elsewhere is no constant"),
        ("return 0.5", "no number of a rule"),
        ("return 5_000_000_000", "no number of a rule"),
        ("return -(-i).bit_length()", "cannot call"),
        ("x = [0 for _ in range(i)]", "ListComp has no place"),
        ("with m: pass", "With has no place"),
        ("return draw(m, i=i)", "cannot call draw"),
        ("return i.real", "i is no enumeration"),
    ],
)
def test_what_means_another_thing_in_c_is_refused(body: str, why: str) -> None:
    with pytest.raises(RuleError, match=why):
        made(rule(body))


def test_another_function_of_a_rules_name_is_refused() -> None:
    with pytest.raises(RuleError, match="not the rule of that name"):
        made(rule("return floordiv(i, 2)"), divide=max)


@pytest.mark.parametrize(
    ("takes", "gives", "why"),
    [
        ("m: Cells, i: float", "int", "cannot take float"),
        ("m", "int", "cannot take ?"),
        ("m: Cells", "list[int]", "cannot return list"),
    ],
)
def test_what_has_no_type_in_c_is_refused(takes: str, gives: str, why: str) -> None:
    with pytest.raises(RuleError, match=why):
        made(rule("return 0", takes, gives))


def test_a_rule_becomes_c_with_its_own_lines() -> None:
    text = made(
        rule(
            "x = floordiv(m.s_set_ma[i], FEW)  # ampères\n"
            "    return MANY if m.s_reason[i] == Reason.LIMIT else x"
        )
    )
    assert text.splitlines() == [
        "cdef inline i64 rule(Memory *m, i64 i) noexcept nogil:",
        "    cdef i64 x",
        "    x = floordiv(m.s_set_ma[i], FEW)  # ampères",
        "    return MANY if m.s_reason[i] == Reason_LIMIT else x",
    ]


def test_dividing_asserts_what_it_divides_by() -> None:
    assert (floordiv(-7, 2), ceildiv(-7, 2), floordiv(7, 2), ceildiv(7, 2)) == (-4, -3, 3, 4)
    for divide in (floordiv, ceildiv):
        with pytest.raises(AssertionError):
            divide(1, 0)
        with pytest.raises(AssertionError):
            divide(1, -1)
    assert sys.flags.optimize == 0, "the assertions are the proof"
