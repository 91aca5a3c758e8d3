"""Words that stumbled stay away. (The glossary says what each module is for: tools/pages.py.)"""

from __future__ import annotations

from tests.bench.waist_bench import names_left


def test_words_that_stumbled_do_not_come_back() -> None:
    assert names_left() == []
