"""The studio: a page on this machine where a face is edited by hand, live."""
