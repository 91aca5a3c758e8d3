"""Everything that runs compiled code in one process, under the address and undefined-behaviour
sanitizers and with the loop bounds asserted: the comparison with HiGHS and the scenarios among it.

One build serves every worker of a run; each group of tests is a test of its own here, so that they
are shared out and one that fails is named. `make test` has a few of them, `make sanitize` all.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.contract.generated_c import MODULES, NOTHING_COMPILED, ROOT, c_source

FOLDER = ROOT / "build" / "sanitized"
FLAGS = ["-O1", "-g1", "-w", "-shared", "-fPIC", "-DPANELCTL_CHECKS"]
FLAGS += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
UNIT = sorted(
    path.name
    for path in (ROOT / "tests/unit").glob("test_*.py")
    if path.stem.removeprefix("test_") not in NOTHING_COMPILED
)
SHARES = 4
# A third recorded day is nothing new to a sanitizer.
OPTIONS = ["-q", "-p", "no:cacheprovider", "-k", "not interpreted and not two_winter_days"]
GROUPS = {
    f"unit {n + 1} of {SHARES}": [f"unit/{f}" for f in UNIT[n::SHARES]] for n in range(SHARES)
}
GROUPS |= {
    f"{folder} {path.stem}": [f"{folder}/{path.name}"]
    for folder in ("property", "scenario")
    for path in sorted((ROOT / "tests" / folder).glob("test_*.py"))
    if path.stem.removeprefix("test_") not in NOTHING_COMPILED
}


SHORT = {
    "property test_bulk",
    "property test_core_equal",
    "property test_core_safety",
    "property test_fields",
    "unit 3 of 4",
}


def _place(name: str) -> Path:
    """Where a compiled module lies."""
    return Path(*name.split(".")).with_suffix(".so")


def _stamp() -> str:
    """What the build was made of."""
    digest = hashlib.sha256(" ".join(FLAGS).encode())
    texts = [ROOT / path for path in MODULES.values()]
    for path in [*sorted((ROOT / "ext").rglob("*.p*")), *texts, ROOT / "build/rules/_rules.pxi"]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _build() -> None:
    """The package with its modules compiled for the sanitizers."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    (FOLDER / "ext").mkdir()
    include = f"-I{sysconfig.get_paths()['include']}"
    builds = [
        subprocess.Popen(
            ["gcc", *FLAGS, include, "-o", name + ".so", c_source(name, FOLDER / "ext")],
            cwd=FOLDER / "ext",
        )
        for name in MODULES
    ]
    assert {build.wait() for build in builds} == {0}
    (FOLDER / "stamp").write_text(_stamp())


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package and its tests as they are now, with the modules of the one build."""
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / "sanitized.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = FOLDER / "stamp"
        if not stamp.exists() or stamp.read_text() != _stamp():
            _build()
    folder = tmp_path_factory.mktemp("sanitized")
    shutil.copytree(ROOT / "panelctl", folder / "panelctl", ignore=shutil.ignore_patterns("*.so"))
    for name in ("tests", "fixtures", "docs", "tools"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name in MODULES:
        shutil.copy(FOLDER / "ext" / f"{name}.so", folder / _place(name))
    return folder


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """What a Python with sanitized modules needs."""
    library = subprocess.check_output(["gcc", "-print-file-name=libasan.so"], text=True).strip()
    return os.environ | {
        "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def test_the_sanitized_modules_are_those_that_are_used(
    tree: Path, environment: dict[str, str]
) -> None:
    names = list(MODULES)
    code = f"import importlib; [print(importlib.import_module(n).__file__) for n in {names}]"
    used = subprocess.check_output(
        [sys.executable, "-c", code], cwd=tree, env=environment, text=True
    )
    assert [Path(line) for line in used.split()] == [tree / _place(name) for name in MODULES]


def test_what_is_short_is_there() -> None:
    """A group of another name would be run by nobody but `make sanitize`."""
    assert GROUPS.keys() >= SHORT


@pytest.mark.slow
@pytest.mark.parametrize(
    "group",
    [pytest.param(g, marks=() if g in SHORT else pytest.mark.long, id=g) for g in GROUPS],
)
def test_under_sanitizers(group: str, tree: Path, environment: dict[str, str]) -> None:
    """Not what is run over the rules interpreted: there is nothing compiled in it."""
    names = [f"tests/{name}" for name in GROUPS[group]]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *names, *OPTIONS],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode in (0, 5), run.stdout[-4000:] + run.stderr[-4000:]  # 5: none left
