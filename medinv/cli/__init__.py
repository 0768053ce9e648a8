"""The command `medinv`: one file a command, joined in `main`."""
