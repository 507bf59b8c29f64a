"""Lets `python -m tidings` be the command `tidings`, where that is not on the path."""

import sys

from tidings.app.cli import main

sys.exit(main())
