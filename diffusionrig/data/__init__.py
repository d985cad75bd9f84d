"""Stores of captured faces, loaders, and synthetic people with known codes."""
