"""Decide: image in, plan out. Pure and synchronous; no I/O, no clock, no logging.

reference.py is the readable definition of every rule; ext/panelctl/core/_core.pyx is the same in
Cython. One test suite runs over both, and they must agree to the bit.
"""
