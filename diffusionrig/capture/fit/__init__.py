"""Capture by fitting: landmarks, their expression coefficients and photometry to a FaceCode, for any head model."""
