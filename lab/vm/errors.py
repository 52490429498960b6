"""What can go wrong with an emulated machine before or besides the command that runs in it."""


class MachineError(Exception):
    """The machine could not be prepared or started, or ended without a word. Says what to do."""


class Unavailable(MachineError):
    """A program or the kernel is not here and cannot be fetched: nothing is known of the machine."""


class MachineTimeout(MachineError):
    """The command had not ended when its time was over, and the machine was stopped."""
