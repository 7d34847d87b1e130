"""What is opened, used and closed."""

from types import TracebackType
from typing import Self


class Closing:
    """Something that is closed at the end of a ``with`` block."""

    def close(self) -> None:
        """Give back what it holds."""

    def __enter__(self) -> Self:
        """The thing itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()
