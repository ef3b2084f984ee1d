"""One-step diffusion video face enhancement."""
