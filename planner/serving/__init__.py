"""Memory of serving: one base with adapters and a cache of keys and values, against whole models."""
