"""What is decided, recorded once before the rules were moved, and compared ever since."""
