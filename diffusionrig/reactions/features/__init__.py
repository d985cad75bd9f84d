"""Features of what the speaker shows and says, frame by frame."""
