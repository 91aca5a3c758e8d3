"""Machine proofs of the lemmas that the decision rests on."""
