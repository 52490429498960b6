"""The agent's state file, with patience: what a full disk does not take of verdicts on legs is held until it does.

Owns what is held. Ids and files never are: nothing may be done in the kernel that the next agent could not know of
(reliability C27). A verdict is another matter: traffic has left the dead leg already, and a round that read an older
one from the disk would lead it back.
"""

import logging
from dataclasses import replace

from dataplane.agent.log import say
from dataplane.agent.store import State, Store
from dataplane.errors import HostError
from dataplane.model.leg import LegVerdicts


class PatientStore(Store):
    """A state file that an agent alone writes to."""

    _held: LegVerdicts | None = None

    def load(self) -> State:
        """What is kept, with the verdicts that are held.

        Raises:
            HostError: the file is there and cannot be read at present.
        """
        kept = super().load()
        return kept if self._held is None else replace(kept, legs=self._held)

    def save(self, state: State) -> None:
        """Keep a state; where only its verdicts, or its time, are new, it may wait for the disk.

        Raises:
            HostError: the disk refuses, and there is more to be kept than verdicts; what was kept before is intact.
        """
        try:
            super().save(state)
        except HostError as error:
            kept = super().load()
            # When a repair was made is not worth holding one up for.
            applied = replace(state.applied, at=kept.applied.at)
            if kept.is_new or replace(state, legs=kept.legs, applied=applied, is_new=False, notice="") != kept:
                raise
            if self._held is None and state.legs != kept.legs:
                say(f"{error}; verdicts on legs are held in memory", level=logging.WARNING)
            self._held = state.legs
        else:
            self._held = None

    def remove(self) -> None:
        """Forget everything, also what is held.

        Raises:
            HostError: the disk refuses.
        """
        super().remove()
        self._held = None
