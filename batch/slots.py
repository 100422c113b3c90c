"""How many steps of each kind run here at once, and who asks for the next. Pure, but for the event loop.

A message only wakes: with room for its kind, a slot opens and takes one step after the other until none is due. Without
room it changes nothing but one bit: who runs looks once more before they leave.
"""

from collections.abc import Collection

from parley.jobs import Kind


class Slots:
    def __init__(self, kinds: Collection[Kind], count: int) -> None:
        self._count = count
        self._taken = dict.fromkeys(kinds, 0)
        self._knocked = dict.fromkeys(kinds, False)

    def take(self, kind: Kind) -> bool:
        """Takes a slot; False: all are taken, and one of those who have them looks again."""
        if kind not in self._taken:
            return False
        if self._taken[kind] >= self._count:
            self._knocked[kind] = True
            return False
        self._taken[kind] += 1
        return True

    def look_again(self, kind: Kind) -> bool:
        """Whether somebody knocked since this was last asked."""
        knocked, self._knocked[kind] = self._knocked[kind], False
        return knocked

    def leave(self, kind: Kind) -> None:
        self._taken[kind] -= 1

    def has_room(self, kind: Kind) -> bool:
        return self._taken[kind] < self._count

    @property
    def taken(self) -> dict[Kind, int]:
        return dict(self._taken)
