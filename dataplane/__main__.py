"""``python -m dataplane``: the same as the command ``dataplane``."""

from dataplane.cli.main import main

if __name__ == "__main__":
    main()
