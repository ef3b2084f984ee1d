"""The one-step transformer, the autoencoders, presets and checkpoints."""
