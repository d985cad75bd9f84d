"""The demo: the whole chain run with the same commands a user would type, and scored where the truth is known."""
