"""Batch files: what they say, whether that can be right, and under which keys."""
