"""What to change: pure comparison of desired and observed state into ordered actions."""
