"""The only room that opens files: images, stores, checkpoints, pickles of others, video, remote paths."""
