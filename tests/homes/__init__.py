"""Small recordings of every kind that people have, and what is right for each."""
