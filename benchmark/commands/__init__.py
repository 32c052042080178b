"""What the verbs do, one file each; `cli.py` only reads the command line."""
