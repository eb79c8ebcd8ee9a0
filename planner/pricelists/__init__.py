"""A user's own price lists: contracts read from a file, and prices refreshed through gpuhunt."""
