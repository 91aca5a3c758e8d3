"""The rules of the decision, written once: plain Python that is run as it is, or compiled.

Rules of this room (tools/rules.py, which makes C of it, refuses what breaks them)
- Flat functions `rule(m, …)` over the flat memory, at most 70 lines long. `int`, `bool`, and arrays
  of the memory come in; an int, a bool, two ints or nothing goes out.
- Integers only. Divided is by `floordiv` and `ceildiv` alone: `//` means two things in two tongues.
- No list, no object, nothing that allocates: what a rule needs besides lies in the memory (`x_…`).
- What is not known is charged as drawing, never as free.
- Down at once, up only on a fresh mains reading, into room that the meter has already shown.
"""
