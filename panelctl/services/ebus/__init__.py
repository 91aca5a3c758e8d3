"""A panel as eBus sees it: a tree of Homie devices, data model 1.0 (parent and children).

Signs are turned here and nowhere else: inside panelctl positive is consumption and import.
"""
