"""What may be wrong with readings that are well formed: built from the panel, told to people, and
kept over a restart. The judging itself is decide/'s: plausible, counters, hidden.
"""
