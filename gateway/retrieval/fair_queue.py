"""A queue that is fair between those who wait in it: each in turn, however many places one of them takes."""

import asyncio
from collections import OrderedDict, deque

Turn = asyncio.Future[None]
"""Done when its owner may go on; failed with PushedOut when it must leave."""


class PushedOut(Exception):  # noqa: N818 - a reason to leave the queue, told to nobody outside
    """Another, who has fewer places, needs this one."""


class FairQueue:
    """Waiting turns by whose they are; the longest-waiting turn of each is served in rotation.

    One alone may take every place. When all are taken, who comes with fewer places than another's takes the last
    place of the one that has most: so nobody is kept out by the crowd of another.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._turns: OrderedDict[str, deque[Turn]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def waiting(self, share: str) -> int:
        """Return how many turns of the share wait."""
        return len(self._turns.get(share, ()))

    def join(self, share: str) -> Turn | None:
        """Return a turn at the end of the share's own row; None where there is no room for another of it."""
        if self._size >= self._length and not self._make_room(share):
            return None
        turn: Turn = asyncio.get_running_loop().create_future()
        self._turns.setdefault(share, deque()).append(turn)
        self._size += 1
        return turn

    def serve(self) -> bool:
        """Tell the next one that its turn has come; False where nobody waits."""
        while self._turns:
            share, row = next(iter(self._turns.items()))
            turn = row.popleft()
            self._size -= 1
            self._turns.move_to_end(share)
            if not row:
                del self._turns[share]
            if not turn.done():
                turn.set_result(None)
                return True
        return False

    def leave(self, share: str, turn: Turn) -> bool:
        """Take a turn out; False where it has left already."""
        row = self._turns.get(share)
        if row is None or turn not in row:
            return False
        row.remove(turn)
        self._size -= 1
        if not row:
            del self._turns[share]
        return True

    def _make_room(self, share: str) -> bool:
        if not self._turns:
            return False
        largest = max(self._turns, key=lambda each: len(self._turns[each]))
        if len(self._turns[largest]) <= len(self._turns.get(share, ())) + 1:
            return False
        last = self._turns[largest][-1]
        self.leave(largest, last)
        if not last.done():
            last.set_exception(PushedOut())
        return True
