"""A user's bad night as a test: a part of a recording, without anything that says whose it was."""
