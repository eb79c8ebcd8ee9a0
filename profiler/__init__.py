"""The two levels of truth that run the libraries: trace (fake tensors) and profile (real steps)."""
