"""``python -m dataplane.health DESCRIPTOR``: the prober, as the agent starts it."""

from dataplane.health.process import main

if __name__ == "__main__":
    main()
