"""Pictures with what the generator saw left of them, for any other sink."""

from dataclasses import replace

from runtime.sinks.base import Picture, VideoSink


class BesideSink(VideoSink):
    """Gives another sink ``Picture.beside`` in the place of the translation."""

    def __init__(self, sink: VideoSink) -> None:
        """``sink`` is ended by this one."""
        self.sink = sink

    @property
    def note(self) -> str | None:
        """What the other sink has to say at the end."""
        return self.sink.note

    def write(self, picture: Picture) -> None:
        """Pass the picture on, beside what it was made of."""
        self.sink.write(replace(picture, frame=picture.beside()))

    @property
    def busy(self) -> bool:
        """Whether the other sink is."""
        return self.sink.busy

    def poll(self) -> bool:
        """Whether the other sink's user wants to end."""
        return self.sink.poll()

    def notice(self, text: str | None) -> None:
        """Pass it on."""
        self.sink.notice(text)

    def interrupt(self) -> None:
        """Pass it on."""
        self.sink.interrupt()

    def cut_short(self) -> None:
        """Pass it on."""
        self.sink.cut_short()

    def close(self) -> None:
        """Finish the other sink."""
        self.sink.close()

    def abort(self) -> None:
        """Abort the other sink."""
        self.sink.abort()
