"""From predicted coefficients to frames and videos of the listener."""
