"""Synthetic dyads: small corpora in the REACT or MARS layout whose appropriateness, lags and styles are known exactly."""
