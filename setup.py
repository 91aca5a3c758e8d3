"""Builds what is compiled: the core, what every reading and record passes, the simulated plant and
its loop. All else about the package is in pyproject.toml.

PANELCTL_CYTHON_DEBUG=1 turns bounds checks on, PANELCTL_ANNOTATE=1 writes the annotated HTML.
"""

import os
import sys
from glob import glob
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))  # an isolated build does not look here
from tools import rules  # noqa: E402

RULES = ROOT / "build" / "rules"  # what is made of panelctl/core/decide
rules.write(RULES / "_rules.pxi")

DEBUG = os.environ.get("PANELCTL_CYTHON_DEBUG") == "1"
ABI3 = sys.implementation.name == "cpython" and sys.version_info >= (3, 11)

# Every .pyx, .pxd and .pxi is named as a dependency: without it an sdist would not hold them.
SOURCES = [*sorted(glob("ext/**/*.p[xy][xdi]", recursive=True)), "build/rules/_rules.pxi"]

# Text that is compiled as it is, into a module of another name; its types are in ext/.
TEXTS = {
    "panelctl.control._bulk": "panelctl/control/bulk_text.py",
    "panelctl.modbus._crc": "panelctl/modbus/crc_text.py",
    "panelctl.modbus._fields": "panelctl/modbus/fields_text.py",
}
for name, path in TEXTS.items():  # Cython does not see that the types of a text have changed
    made, types = Path("build/cython", path).with_suffix(".c"), Path("ext", *name.split("."))
    if made.exists() and made.stat().st_mtime < types.with_suffix(".pxd").stat().st_mtime:
        made.unlink()
NATIVE = (
    "panelctl.core._ladder",
    "panelctl.core._core",
    "panelctl.sim.breakers",
    "panelctl.sim.plant",
    "panelctl.sim.registers",
    "panelctl.sim.virtual_loop",
)

# A test that only looks at what is packed builds without.
OPTIMISED = os.environ.get("PANELCTL_OPTIMISED", "-O3")

extensions = [
    Extension(
        name,
        [path],
        depends=SOURCES,
        extra_compile_args=[OPTIMISED, "-fno-fast-math", "-ffp-contract=off"],
        define_macros=[("Py_LIMITED_API", "0x030B0000")] if ABI3 else [],
        py_limited_api=ABI3,
    )
    for name, path in {
        **{name: f"ext/{name.replace('.', '/')}.pyx" for name in NATIVE},
        **TEXTS,
    }.items()
]


class Abi3Wheel(bdist_wheel):
    """One wheel an architecture, for CPython 3.11 and every later one."""

    def finalize_options(self) -> None:
        if ABI3:
            self.py_limited_api = "cp311"
        super().finalize_options()


setup(
    ext_modules=cythonize(
        extensions,
        include_path=["ext", "build/rules"],
        build_dir="build/cython",
        annotate=os.environ.get("PANELCTL_ANNOTATE") == "1",
        compiler_directives={
            "language_level": 3,
            "boundscheck": DEBUG,
            "wraparound": False,
            "initializedcheck": DEBUG,
            "cdivision": True,
            "annotation_typing": False,  # the types are the .pxd's
        },
    ),
    cmdclass={"bdist_wheel": Abi3Wheel},
)
