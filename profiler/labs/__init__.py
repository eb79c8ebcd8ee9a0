"""Experiments of the laboratories: real libraries, sizes that a CPU trains in seconds."""
