"""The harness: what happens to an architecture and a data set."""
