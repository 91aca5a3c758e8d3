"""Every small recording of the kept set is read as is right, or refused in the right words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.homes.kept import Case, cases, wrong

CASES = cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_read_as_is_right(case: Case, tmp_path: Path) -> None:
    assert wrong(case, tmp_path) == []


def test_the_set_is_large_enough_and_each_case_says_what_is_right() -> None:
    assert len(CASES) >= 45
    assert len({case.name for case in CASES}) == len(CASES)
    assert all(case.refused or (case.at and case.span_s) for case in CASES)


def test_a_wrong_answer_is_seen(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "values: watts")
    other = Case(case.name, case.csv, case.home, at={"outlets": [[0, 99]]}, span_s=1.0)
    assert len(wrong(other, tmp_path)) == 2
    assert wrong(Case("", case.csv, case.home, refused=("x",)), tmp_path)
    assert wrong(Case("", "", case.home, refused=("nonsense",)), tmp_path)
