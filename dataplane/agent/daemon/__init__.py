"""``dataplane agent``: one loop that keeps a host's network as its file says, for months (design, sections 6 and 7)."""
