"""Thousands of maps: what to do, an engine that does it, a manifest of what is done, and what came of it."""
