"""`python -m vividface`."""

import sys

from vividface.cli.main import main

sys.exit(main())
