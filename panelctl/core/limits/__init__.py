"""What limits a panel and its loads for a while: limits with names, and caps on single loads."""
