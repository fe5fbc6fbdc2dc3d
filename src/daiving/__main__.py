"""python -m daiving"""

import sys

from daiving.cli import main

if __name__ == "__main__":
    sys.exit(main())
