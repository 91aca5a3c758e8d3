"""Real links over real ptys and sockets. These run one after the other: they watch the clock."""
