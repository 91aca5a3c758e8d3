"""The simulated panel: loads, relays, breakers and a node that behave, shown over real wires.

The controller knows nothing of this room; it meets it through sockets and ptys only.
"""
