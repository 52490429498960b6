"""eBPF: programs compiled, loaded and pinned; their maps read and written. Holds no policy, and knows no resource."""
