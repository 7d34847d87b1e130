"""The bounded queue between two stages of a stream: lossless with back-pressure, or the newest item wins."""

import threading
from collections import deque
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")


class Handover(Generic[ItemT]):
    """Hands items from one thread to another, and never keeps either waiting once the stream has ended.

    Attributes:
        dropped: items that a newer one took the place of.
    """

    def __init__(self, capacity: int, *, newest_wins: bool) -> None:
        """Room for ``capacity`` items; when it is full, ``put`` drops the oldest (``newest_wins``) or waits."""
        self.dropped = 0
        self._capacity = capacity
        self._newest_wins = newest_wins
        self._items: deque[ItemT] = deque()
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: ItemT) -> bool:
        """Add ``item``; False, without adding it, once the queue was closed (also while waiting for room)."""
        with self._changed:
            if not self._newest_wins:
                self._changed.wait_for(lambda: self._closed or len(self._items) < self._capacity)
            if self._closed:
                return False
            if len(self._items) == self._capacity:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._changed.notify_all()
            return True

    def wait_for_room(self) -> bool:
        """Wait until an item would be taken at once; False once the queue was closed. For a single thread that puts."""
        with self._changed:
            if not self._newest_wins:
                self._changed.wait_for(lambda: self._closed or len(self._items) < self._capacity)
            return not self._closed

    def get(self, timeout: float | None = None) -> ItemT | None:
        """The oldest item; None when ``timeout`` seconds passed without one, or when no more will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._items, timeout)
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    @property
    def finished(self) -> bool:
        """Whether the queue was closed and is empty."""
        with self._changed:
            return self._closed and not self._items

    def close(self) -> None:
        """Take no more items; those inside can still be had."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """Take no more items and forget those inside."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()
