"""Who is on a photograph: embeddings by name, and the one that ships."""
