"""The eBPF programs as C text, which ``dataplane/datapath`` compiles and loads. Holds no Python of its own."""
