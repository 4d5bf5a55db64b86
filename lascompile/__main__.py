"""`python -m lascompile` is the `lascompile` command."""

import sys

from lascompile.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
