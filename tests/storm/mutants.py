"""Which of the safety rules would be missed: adds `mutants_found` and `mutants_total` to the
figures of a storm. Run as `python -m tests.storm.mutants build/storm.json`.

The mutants are those of test_mutations.py; each is counted as found when its test passes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest


class Count:
    """A pytest plugin that counts."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.total = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.total += 1
            if report.passed:
                self.found.append(report.nodeid.partition("::")[2])


def main(figures: Path) -> int:
    """Run the mutants, and write what was found beside the other figures."""
    count = Count()
    code = pytest.main(["-q", "tests/storm/test_mutations.py"], plugins=[count])
    plain = json.loads(figures.read_text())
    plain["summary"] |= {"mutants_found": len(count.found), "mutants_total": count.total}
    figures.write_text(json.dumps(plain, indent=1) + "\n")
    return int(code)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
