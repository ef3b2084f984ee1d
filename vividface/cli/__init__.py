"""The command `vividface`."""
