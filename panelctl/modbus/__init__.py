"""Register maps, codec, read planning and wire time. Sans-IO: bytes and words in, facts out."""
