"""When to read the next frame of a file: just before it is needed.

A file can be read at any time. Read too early, a frame grows old in the queue; read too late, the engine waits for it.
So the reader waits after each hand-over, and learns how long from what became of the last frames.
"""

from typing import Final

SLACK_NS: Final = 1_500_000
"""How long before it is needed a frame should be there: what a thread takes to wake up on a busy machine, and a bit."""

GAIN: Final = 0.125
"""Share of a frame's surplus age by which the next one is read later."""


LONGEST_SAMPLE_NS: Final = 100_000_000
"""What waited for longer counts as so much: a window that was paused is no reason to read ever later."""
LONGEST_NS: Final = 500_000_000
"""The wait grows no longer: so late would the first frame come after something has become faster."""


class JustInTime:
    """How long a reader should wait after its last frame was taken before it reads the next one.

    A frame that came too late shortens the wait by all that it was late, and one that waited too long lengthens it by
    a part of that: an idle engine costs more than an old frame.

    Attributes:
        delay_ns: the wait, in nanoseconds.
    """

    def __init__(self) -> None:
        """Begin with no wait at all."""
        self.delay_ns = 0

    def frame_waited(self, nanoseconds: int) -> None:
        """A frame waited so long, before the engine and before the output took it."""
        surplus = min(nanoseconds, LONGEST_SAMPLE_NS) - SLACK_NS
        self.delay_ns = min(LONGEST_NS, max(0, self.delay_ns + int(surplus * (GAIN if surplus > 0 else 1))))

    def engine_waited(self, nanoseconds: int) -> None:
        """The engine waited so long for a frame, and the output for the engine."""
        self.delay_ns = max(0, self.delay_ns - nanoseconds - SLACK_NS)
