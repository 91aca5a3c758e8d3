"""Many days of a panel in little time: the plant and the decision face to face, without a bus."""
