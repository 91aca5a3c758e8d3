"""What the build needs besides setup.py."""
