"""Facts: what a panel is made of and what is said about it. No behaviour, no I/O, no clock."""
