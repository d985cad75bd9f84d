"""Choosing the photographs of an album that are worth training on, and saying why the others are not."""
