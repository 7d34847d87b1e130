"""A single image, and a folder of images."""

import glob
import os
import shutil
import tempfile
from pathlib import Path

from core.atomic import is_alive, make_folder
from core.errors import SinkError
from core.frames import Frame, write_image
from runtime.sinks.base import Picture, VideoSink, check_writable, sink_errors


class ImageFileSink(VideoSink):
    """A single image."""

    def __init__(self, path: Path) -> None:
        """Raise ``SinkError`` if ``path`` could not be written."""
        if path.is_dir():
            raise SinkError(f"{path} is a folder: give --output another name")
        check_writable(path)
        self.path = path
        self._frame: Frame | None = None

    def write(self, picture: Picture) -> None:
        """Keep the picture; a second one is refused."""
        if self._frame is not None:
            raise SinkError(f"{self.path} holds one image and the source gives more: name a folder or a video")
        self._frame = picture.frame

    def close(self) -> None:
        """Write the image."""
        if self._frame is not None:
            with sink_errors(self.path):
                write_image(self.path, self._frame)

    def abort(self) -> None:
        """Forget the image."""
        self._frame = None


class ImageFolderSink(VideoSink):
    """A folder of PNG images, named after the source's where it names them, else ``frame_000001.png``.

    They are moved there together at the end; files of other names that the folder holds stay.
    """

    def __init__(self, folder: Path) -> None:
        """Raise ``SinkError`` if ``folder`` is a file or could not be written to."""
        if folder.is_file():
            raise SinkError(f"{folder} is a file: give --output a folder, or a name that ends in .mp4")
        check_writable(folder)
        self.folder = folder
        self.written = 0
        self._partial: Path | None = None

    def write(self, picture: Picture) -> None:
        """Write one image into the hidden folder."""
        with sink_errors(self.folder):
            if self._partial is None:
                self._partial = self._make_partial()
            self.written += 1
            write_image(self._partial / f"{picture.name or f'frame_{self.written:06d}'}.png", picture.frame)

    def _make_partial(self) -> Path:
        """A hidden folder on the same file system: within the folder if there is one, which may be a mounted disk."""
        place = self.folder if self.folder.is_dir() else self.folder.parent
        make_folder(place)
        name = f".{self.folder.name}."
        for left in place.glob(f"{glob.escape(name)}*.partial"):  # by a process that was killed
            owner = left.name.removeprefix(name).partition(".")[0]
            if owner.isdecimal() and not is_alive(int(owner)):
                shutil.rmtree(left, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(prefix=f"{name}{os.getpid()}.", suffix=".partial", dir=place))
        partial.chmod(0o755)
        return partial

    def close(self) -> None:
        """Move the images into place."""
        if self._partial is None:
            return
        try:
            with sink_errors(self.folder):
                make_folder(self.folder)
                images = sorted(self._partial.iterdir())
                if blocked := next((one.name for one in images if (self.folder / one.name).is_dir()), None):
                    raise SinkError(f"{self.folder / blocked} is a folder, and an image has that name: move it away")
                for image in images:
                    image.replace(self.folder / image.name)
        finally:
            self.abort()

    def abort(self) -> None:
        """Remove the hidden folder."""
        if self._partial is not None:
            shutil.rmtree(self._partial, ignore_errors=True)
            self._partial = None
