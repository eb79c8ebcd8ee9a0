"""Real runs, started and kept from here: what the machine can bear, the child, the history, what it teaches."""
