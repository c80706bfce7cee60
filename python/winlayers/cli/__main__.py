"""`python -m winlayers.cli`, for where the command itself is not on the path."""

import sys

from winlayers.cli import main

sys.exit(main())
