"""The command line: `python -m fer COMMAND`."""
