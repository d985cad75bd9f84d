"""Measures of edited images: image metrics, control error."""
