"""The only reader of the environment and of .env: what is set, each setting with its sentence."""
