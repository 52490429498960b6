"""The agent's local API: HTTP/1.1 over a unix socket, for the command line and for ``curl --unix-socket``."""
