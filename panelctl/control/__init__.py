"""Control: the loop that ties the floors together, and the composition root."""
