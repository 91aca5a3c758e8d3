"""The benchmark: every figure the project quotes, written by the command that measures it."""
