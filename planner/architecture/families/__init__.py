"""Readers of one family of models each; planner/architecture/read.py imports the one it needs."""
