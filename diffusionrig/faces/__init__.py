"""Detection, landmarks, FFHQ alignment."""
