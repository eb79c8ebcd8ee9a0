"""A package of its own, as gpuhunt brings one of the same name that would come first."""
