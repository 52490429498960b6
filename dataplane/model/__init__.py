"""The vocabulary: frozen values of kernel state, names, ids. No I/O, no clock."""
