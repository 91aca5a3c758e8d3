"""Sums that mean the same interpreted and compiled, and the proof that they stay whole numbers."""

from __future__ import annotations


def floordiv(a: int, b: int) -> int:
    """a / b, rounded down. The divisor is above 0."""
    assert b > 0, f"{a} is divided by {b}"
    return a // b


def ceildiv(a: int, b: int) -> int:
    """a / b, rounded up. The divisor is above 0."""
    assert b > 0, f"{a} is divided by {b}"
    return -(-a // b)


def magnitude(a: int) -> int:
    """How much it is, whichever way."""
    return -a if a < 0 else a
