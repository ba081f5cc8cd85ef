"""The HTTP service: what the command line gives people, for other programs."""
