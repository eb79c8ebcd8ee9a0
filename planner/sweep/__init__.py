"""Tables over models, methods, cards, counts, lengths and batches; and the search for the cheapest and fastest plan."""
