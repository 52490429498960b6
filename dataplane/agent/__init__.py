"""The agent: the round (observe, compile, plan, apply, verify), the local state, the lock."""
