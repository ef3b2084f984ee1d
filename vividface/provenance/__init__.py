"""From which data, configuration and code each file was made, and whether that still holds."""
