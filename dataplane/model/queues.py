"""The queues of a card of the host, as a kernel object."""

from dataclasses import dataclass

from dataplane.model import names
from dataplane.model.key import Key


@dataclass(frozen=True, slots=True)
class DeviceQueues:
    """What a card is set to (R132). The card is not ours: it is set, and never given back what it had.

    Args:
        combined: queues, for both directions or as many of each; None where nobody asks.
        rps_cpus: bit n: packets of every receive queue may be taken on by processor n; None where nobody asks. Of an
            observed one, that of the first queue that has it otherwise.
        namespace: the one that the command runs in.
    """

    device: str
    combined: int | None = None
    rps_cpus: int | None = None
    namespace: str = names.HOST

    @property
    def key(self) -> Key:
        return ("device_queues", self.namespace, self.device)

    def needs(self) -> tuple[Key, ...]:
        return ()
