"""One-step diffusion video face enhancement."""

import logging

# pyiqa brings bitsandbytes, which warns of kernels for quantised weights; nothing here is quantised.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
