"""The panel file: TOML in, a checked `Panel` out, or every problem at once."""
