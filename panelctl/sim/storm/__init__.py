"""The whole application on simulated time, under faults, judged by what really happens."""
