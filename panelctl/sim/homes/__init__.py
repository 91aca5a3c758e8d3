"""Recorded homes: what appliances really drew, from CSV files, given to the simulated circuits."""
