"""What limits a panel and its loads for a while: named limits, and power limits of loads."""
