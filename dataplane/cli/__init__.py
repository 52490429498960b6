"""The command line: one module per command. It asks the layers below and prints; it decides nothing about networks."""
