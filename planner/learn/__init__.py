"""Walk-throughs in which every number is computed for the reader's own model, and common claims put to the planner."""
