"""What the compiled core promises about itself: no Python inside, and clean under sanitizers."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from panelctl.core.decide.interpreted import Core as Interpreted
from panelctl.core.layout import SCRATCH, Changing, Fixed
from tools.rules import MODULES, rules_source

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path.relative_to(ROOT / "ext") for path in (ROOT / "ext").rglob("*.pyx"))
CORE = Path("panelctl/core")
# Of the CPython API, of its own run-time and of allocation; in Cython's C each has such a name.
FOREIGN = re.compile(r"\b(Py[A-Z_]\w*|__Pyx_\w+|_Py\w+|malloc|calloc|realloc|free|alloca)\b")


def c_source(module: Path, folder: Path) -> Path:
    """The C that Cython makes of a module of ext/, with setup.py's directives."""
    name = module.with_suffix("").as_posix().replace("/", ".")
    target = folder / f"{name}.c"
    command = [sys.executable, "-m", "cython", "-3", "-I", "ext", "-I", "build/rules"]
    for directive in ("cdivision=True", "boundscheck=False", "wraparound=False"):
        command += ["-X", directive]
    command += ["-X", "initializedcheck=False", "--module-name", name]
    subprocess.run([*command, f"ext/{module}", "-o", str(target)], check=True, cwd=ROOT)
    return target


def functions(source: Path) -> dict[str, str]:
    """The bodies of the C functions that Cython made of cdef functions, by name."""
    bodies = {}
    text = source.read_text()
    for found in re.finditer(r"^static [^;\n]*\b(__pyx_f_\w+)\([^;{]*\) \{$", text, re.MULTILINE):
        end = text.index("\n}\n", found.end())
        body = re.sub(r"/\*.*?\*/", "", text[found.end() : end], flags=re.DOTALL)
        bodies[found.group(1)] = body
    return bodies


@pytest.mark.parametrize(("name", "entry"), [("_ladder", "_ladder_serve"), ("_core", "_core_step")])
def test_no_python_object_and_no_allocation_inside(name: str, entry: str, tmp_path: Path) -> None:
    bodies = functions(c_source(CORE / f"{name}.pyx", tmp_path))
    todo = [function for function in bodies if function.endswith(entry)]
    assert len(todo) == 1
    reached = set(todo)
    while todo:
        body = bodies[todo.pop()]
        for called in bodies:
            if called not in reached and re.search(rf"\b{called}\b|->{called}\b", body):
                reached.add(called)
                todo.append(called)
    assert len(reached) >= (6 if name == "_ladder" else 25), sorted(reached)
    for function in sorted(reached):
        assert not FOREIGN.findall(bodies[function]), function


def test_the_compiled_rules_are_those_of_the_package() -> None:
    """Nobody tests one and ships the other."""
    made = (ROOT / "build/rules/_rules.pxi").read_text()
    assert made == rules_source()
    struct = made.partition("cdef struct Memory:")[2]
    fields = re.findall(r"^    cells (\w+)$", struct, re.MULTILINE)
    assert fields[:3] == ["value", "quality", "sampled_ns"]
    fixed = [f"f_{name}" for name in Fixed.names]
    changing = [f"s_{name}" for name in Changing.names]
    assert fields[3:] == fixed + changing + [f"x_{name}" for name in SCRATCH]


def test_the_interpreted_rules_are_read_from_their_text() -> None:
    """A compiled module beside the text would be taken in its place, and C tested against C."""
    for name in (*MODULES, "serve", "cells", "interpreted"):
        module = importlib.import_module(f"panelctl.core.decide.{name}")
        assert module.__file__ == str(ROOT / f"panelctl/core/decide/{name}.py")
    assert Interpreted.step.__code__.co_filename == str(
        ROOT / "panelctl/core/decide/interpreted.py"
    )


@pytest.mark.slow
def test_the_suite_passes_under_sanitizers(tmp_path: Path) -> None:
    """Address and undefined-behaviour sanitizers, with the loop bounds asserted.

    Everything that runs compiled code in one process, the comparison with HiGHS and the scenarios
    among it; not what is run over the rules interpreted.
    """
    flags = ["-O1", "-g", "-w", "-shared", "-fPIC", "-DPANELCTL_CHECKS"]
    flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    shutil.copytree(ROOT / "panelctl", tmp_path / "panelctl", ignore=shutil.ignore_patterns("*.so"))
    for folder in ("tests", "fixtures", "docs"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    include = f"-I{sysconfig.get_paths()['include']}"
    builds = [
        subprocess.Popen(
            ["gcc", *flags, include, "-o", module.with_suffix(".so"), c_source(module, tmp_path)],
            cwd=tmp_path,
        )
        for module in SOURCES
    ]
    assert {build.wait() for build in builds} == {0}
    library = subprocess.check_output(["gcc", "-print-file-name=libasan.so"], text=True).strip()
    environment = os.environ | {
        "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    names = [module.with_suffix("").as_posix().replace("/", ".") for module in SOURCES]
    code = f"import importlib; [print(importlib.import_module(n).__file__) for n in {names}]"
    used = subprocess.check_output(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, text=True
    )
    assert [Path(line) for line in used.split()] == [
        tmp_path / module.with_suffix(".so") for module in SOURCES
    ]
    suite = ["tests/unit", "tests/property", "tests/scenario", "-q", "-x"]
    suite += ["-p", "no:cacheprovider", "-k", "not reference"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *suite],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]
