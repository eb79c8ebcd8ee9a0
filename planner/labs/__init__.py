"""Laboratories: what a library does with a handful of numbers, by hand and beside it."""
