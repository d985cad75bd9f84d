"""One loop for both stages: distributed start-up, EMA, resumable state."""
