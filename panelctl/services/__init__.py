"""The gateway services: what carries the controller's records to people and other systems.

They know the controller through `link` alone. None of this is needed for control; all of it may be
restarted, or deleted, without the controller.
"""
