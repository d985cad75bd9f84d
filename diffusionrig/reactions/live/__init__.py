"""A listener who reacts while the speaker is still speaking: frames in, frames out."""
