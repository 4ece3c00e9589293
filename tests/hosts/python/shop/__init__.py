"""A package, to be imported by agents."""
