"""Listener reactions: dyadic data, features, metrics, generators, and frames in the listener's own face."""
