"""From configuration to desired state: pure passes, one module per feature, no I/O and no clock."""
