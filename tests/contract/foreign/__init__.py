"""Modbus servers that nobody here wrote, as programs: see serve.py."""
