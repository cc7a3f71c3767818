"""`python -m lensctl` is `lensctl`."""

import sys

from lensctl.cli.main import main

sys.exit(main())
