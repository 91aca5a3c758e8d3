"""The ladder, the exact allocation: reference.py says what it does and why; ext/ has a twin of
another make (a heap against a dictionary), and each proves the other.
"""
