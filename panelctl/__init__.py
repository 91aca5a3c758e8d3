"""panelctl runs a smart electrical panel. See docs/explanation for how the parts fit."""

__version__ = "0.2.0"
