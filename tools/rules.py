"""Makes one Cython source of the rules in panelctl/core/decide: the same text, with C's types.

The rules are plain Python, run as they are by whoever wants to read, debug or mutate them. Here
each function gets a `cdef` line made of its annotations, its locals are declared as int64, words of
enumerations and constants become C's, and the memory becomes a struct of pointers in the order of
layout.py. Everything else is copied, line by line.

What would mean something else in C, or would need Python there, is refused: `//`, `/`, `%`, `**`,
shifting a literal by a variable, lists, calls of what is not a rule, fields that are not in the
layout. All functions end up in one C unit, so that the compiler can inline across files.
"""

from __future__ import annotations

import ast
import importlib
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

PACKAGE = "panelctl.core.decide"
MODULES = (
    "arith",
    "words",
    "estimate",
    "margins",
    "thermal",
    "faults",
    "supervise",
    "modulated",
    "shed",
    "restore",
    "setpoints",
    "plausibility",
    "missing_ct",
    "counters",
    "step",
)
NATIVE = {"floordiv", "ceildiv", "serve"}  # the header's and _serve.pxi's
BUILT_IN = {"range", "min", "max"}
MOST_INLINE = 6  # lines of a function that is worth inlining everywhere
MOST_INT = (1 << 31) - 1
LENGTHS = {"MAX_LOADS"}  # _serve.pxi's

# A bool is an int64 as well: what `and` gives in Python is not cut to C's int then.
TYPES = {"int": "i64", "bool": "i64", "None": "void", "Words": "i64 *", "Cells": "Memory *"}
RESULTS = TYPES | {"tuple[int, int]": "(i64, i64)"}
STATEMENTS = (
    ast.Assign, ast.AugAssign, ast.Expr, ast.For, ast.While, ast.If, ast.Return, ast.Break,
    ast.Continue,
)  # fmt: skip
EXPRESSIONS = (
    ast.Attribute, ast.BinOp, ast.BoolOp, ast.Call, ast.Compare, ast.Constant, ast.IfExp, ast.Name,
    ast.Subscript, ast.Tuple, ast.UnaryOp, ast.Load, ast.Store, ast.And, ast.Or, ast.Not,
    ast.Invert, ast.USub, ast.Add, ast.Sub, ast.Mult, ast.LShift, ast.RShift, ast.BitAnd, ast.BitOr,
    ast.BitXor, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE,
)  # fmt: skip

HEADER = '''"""Made by tools/rules.py of panelctl/core/decide. Change it there."""

ctypedef i64 *cells


cdef inline i64 floordiv(i64 a, i64 b) noexcept nogil:
    return a // b if a >= 0 else -((b - 1 - a) // b)


cdef inline i64 ceildiv(i64 a, i64 b) noexcept nogil:
    return (a + b - 1) // b if a > 0 else -(-a // b)
'''


class RuleError(Exception):
    """A rule that C would not understand as Python does."""


@dataclass
class Source:
    """One file of rules, read and imported."""

    path: Path
    tree: ast.Module
    lines: list[bytes]
    module: ModuleType

    @classmethod
    def of(cls, name: str) -> Source:
        """The file of that name in the package."""
        module = importlib.import_module(f"{PACKAGE}.{name}")
        assert module.__file__ is not None
        path = Path(module.__file__)
        if path.suffix != ".py":
            raise RuleError(f"{path}: the rules themselves are wanted")
        text = path.read_bytes()
        return cls(path, ast.parse(text), text.splitlines(), module)

    @property
    def functions(self) -> list[ast.FunctionDef]:
        """Its rules."""
        return [node for node in self.tree.body if isinstance(node, ast.FunctionDef)]

    def refuse(self, node: ast.AST, why: str) -> RuleError:
        """The error to raise about a place in it."""
        return RuleError(f"{self.path}:{getattr(node, 'lineno', '?')}: {why}")


@dataclass
class Written:
    """What has been made so far: constants by their C name, functions as text."""

    fields: frozenset[str]
    rules: frozenset[str]
    constants: dict[str, int] = field(default_factory=dict)
    functions: list[str] = field(default_factory=list)


def memory_fields() -> list[str]:
    """The struct's pointers, in order: the image, what is fixed, what changes, scratch."""
    layout = importlib.import_module("panelctl.core.state.layout")
    scratch = importlib.import_module("panelctl.core.state.scratch")
    return [
        "value",
        "quality",
        "sampled_ns",
        *(f"f_{name}" for name in layout.Fixed.names),
        *(f"s_{name}" for name in layout.Changing.names),
        *(f"x_{name}" for name in scratch.SCRATCH),
    ]


def rules_source() -> str:
    """The whole source. Raises RuleError."""
    sources = [Source.of(name) for name in MODULES]
    names = [function.name for source in sources for function in source.functions]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise RuleError(f"two rules are called {', '.join(sorted(twice))}")
    fields = memory_fields()
    written = Written(frozenset(fields), frozenset(names) | NATIVE)
    for source in sources:
        for node in source.tree.body:
            known = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.FunctionDef)
            if not isinstance(node, known) and not _is_text(node):
                raise source.refuse(node, "a file of rules has constants and functions")
        for function in source.functions:
            if function.name not in NATIVE:
                written.functions.append(_function(source, function, written))
    struct = "\n".join(f"    cells {name}" for name in fields)
    memory = f"cdef struct Memory:\n{struct}\n    i64 n, rows, limits, source_legs\n"
    order = f"FIELDS = {fields!r}\n"  # what a core was built for, to be held against what it gets
    parts = [HEADER, order, _constants(written.constants), memory, *written.functions]
    return "\n\n".join(parts)


def write(path: Path) -> None:
    """Write the source where it is not already so."""
    text = rules_source()
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _constants(constants: dict[str, int]) -> str:
    """All of them int64, but for those that are lengths of arrays."""
    lines = ['cdef extern from *:\n    """']
    lines += [f"    #define RULE_{name} {n}LL" for name, n in sorted(constants.items())]
    lines += ['    """', "    enum:", *(f'        {name} "RULE_{name}"' for name in LENGTHS)]
    lines += [f'    const i64 {name} "RULE_{name}"' for name in sorted(set(constants) - LENGTHS)]
    return "\n".join(lines) + "\n"


def _function(source: Source, function: ast.FunctionDef, written: Written) -> str:
    body = function.body[1:] if _is_text(function.body[0]) else function.body
    parameters = [_parameter(source, arg) for arg in function.args.args]
    returns = ast.unparse(function.returns) if function.returns is not None else "?"
    if returns not in RESULTS:
        raise source.refuse(function, f"a rule cannot return {returns}")
    known = {arg.arg for arg in function.args.args}
    stored = [
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]
    local = [name for name in dict.fromkeys(stored) if name not in known]
    changes = _Checker(source, known | set(local), written).check(body)
    first, last = body[0].lineno, function.end_lineno
    assert last is not None
    inline = "inline " if last - first < MOST_INLINE else ""
    head = (
        f"cdef {inline}{RESULTS[returns]} {function.name}({', '.join(parameters)}) noexcept nogil:"
    )
    declared = [f"    cdef i64 {', '.join(local)}"] if local else []
    lines = [_changed(source.lines[n - 1], changes.get(n, [])) for n in range(first, last + 1)]
    return "\n".join([head, *declared, *lines]) + "\n"


def _parameter(source: Source, arg: ast.arg) -> str:
    kind = ast.unparse(arg.annotation) if arg.annotation is not None else "?"
    if kind not in TYPES:
        raise source.refuse(arg, f"a rule cannot take {kind}")
    return f"{TYPES[kind]} {arg.arg}".replace("* ", "*")


Change = tuple[int, int, str]  # from and up to which byte of a line, and what stands there instead


def _changed(line: bytes, changes: list[Change]) -> str:
    for start, end, text in sorted(changes, reverse=True):
        line = line[:start] + text.encode() + line[end:]
    return line.decode()


class _Checker(ast.NodeVisitor):
    """Refuses what a rule must not hold, and notes what has to be put otherwise in C."""

    def __init__(self, source: Source, local: set[str], written: Written) -> None:
        self._source = source
        self._local = local
        self._written = written
        self._changes: dict[int, list[Change]] = {}

    def check(self, body: list[ast.stmt]) -> dict[int, list[Change]]:
        """Look at every statement; the changes by line."""
        for statement in body:
            self.visit(statement)
        return self._changes

    def visit(self, node: ast.AST) -> None:
        """One node, and what is in it."""
        if not isinstance(node, STATEMENTS + EXPRESSIONS):
            raise self._source.refuse(node, f"{type(node).__name__} has no place in a rule")
        super().visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """A number, or whether something is so."""
        if not isinstance(node.value, int) or node.value > MOST_INT:
            raise self._source.refuse(node, f"{node.value!r} is no number of a rule: name it")

    def visit_BinOp(self, node: ast.BinOp) -> None:
        """C would reckon with literals, and with what is so, as an int."""
        wide = ast.Name | ast.Subscript | ast.Attribute
        if isinstance(node.op, ast.LShift) and not isinstance(node.left, wide):
            raise self._source.refuse(node, "shift a variable, nothing else")
        if isinstance(node.left, ast.Constant) and isinstance(node.right, ast.Constant):
            raise self._source.refuse(node, "name what two literals make")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Rules call rules."""
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        if name not in self._written.rules | BUILT_IN or node.keywords:
            raise self._source.refuse(node, f"a rule cannot call {name}")
        if name in self._local:
            raise self._source.refuse(node, f"{name} is a local name as well")
        rule = getattr(self._source.module, name, None)
        if name not in BUILT_IN and PACKAGE not in getattr(rule, "__module__", ""):
            raise self._source.refuse(node, f"{name} is not the rule of that name here")
        for argument in node.args:
            self.visit(argument)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """A field of the memory, or a word of an enumeration."""
        owner = node.value.id if isinstance(node.value, ast.Name) else ast.unparse(node.value)
        if owner == "m":
            if node.attr not in self._written.fields | {"n", "rows", "limits", "source_legs"}:
                raise self._source.refuse(node, f"the memory has no field {node.attr}")
            return
        words = getattr(self._source.module, owner, None)
        if not isinstance(words, type) or not issubclass(words, int):
            raise self._source.refuse(node, f"{owner} is no enumeration")
        name = f"{owner}_{node.attr}"
        self._constant(node, name, int(getattr(words, node.attr)))
        self._put(node, name)

    def visit_Name(self, node: ast.Name) -> None:
        """A local, or a constant of the file."""
        if node.id in self._local:
            return
        number = getattr(self._source.module, node.id, None)
        if not isinstance(number, int):
            raise self._source.refuse(node, f"{node.id} is no constant")
        self._constant(node, node.id, int(number))

    def _constant(self, node: ast.AST, name: str, number: int) -> None:
        if self._written.constants.setdefault(name, number) != number:
            raise self._source.refuse(node, f"{name} is another number elsewhere")

    def _put(self, node: ast.expr, text: str) -> None:
        assert node.end_col_offset is not None
        change = (node.col_offset, node.end_col_offset, text)
        self._changes.setdefault(node.lineno, []).append(change)
