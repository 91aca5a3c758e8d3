"""Decide: image in, plan out. Pure and synchronous; no I/O, no clock, no logging.

decide/ has every rule once; the build compiles the same text into _core. One test suite runs over
both, and they must agree to the bit. Only the ladder is written twice, as each proves the other.
"""
