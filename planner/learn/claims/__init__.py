"""Common claims, each put to the planner over the settings that it leaves open."""
