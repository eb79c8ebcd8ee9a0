"""Drills: questions drawn from a seed and the catalogue, whose answers the planner gives."""
