"""Money: what an hour of a plan's cards costs, rented or owned, and what a run comes to."""
