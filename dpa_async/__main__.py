"""`python -m dpa_async`: the command line."""

import sys

from dpa_async.cli import main

if __name__ == "__main__":
    sys.exit(main())
