"""The errors a user can meet. Every message says what is wrong and which command or value mends it."""

from typing import ClassVar


class EdgeError(Exception):
    """Root of all errors that are the user's to mend: one line on the terminal, no traceback.

    Attributes:
        exit_code: what the command ends with (2: bad input; 1: it ran, but fell short of a stated gate).
    """

    exit_code: ClassVar[int] = 2


class InvalidInputError(EdgeError, ValueError):
    """An option, a path, an image, a video or a size that cannot be used as given."""


class MissingDependencyError(EdgeError):
    """A library that the asked-for work needs is not installed; the message names the extra that brings it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(f"{purpose} needs {package}: pip install 'pix2pix-edge[{extra}]'")


class BundleError(EdgeError):
    """A bundle whose manifest or files are missing, damaged or do not belong together."""


class CheckpointError(EdgeError):
    """A checkpoint that cannot be read as one."""


class UnavailableError(EdgeError):
    """Asked for something this machine cannot make or run; never answered with something else instead."""


class SourceError(EdgeError):
    """A camera, video, stream or folder that cannot be opened, or that failed while it was read."""


class SinkError(EdgeError):
    """A window or file that the output cannot be written to."""


class GateMissedError(EdgeError):
    """The work was done, but an artifact or a run fell short of a stated gate."""

    exit_code: ClassVar[int] = 1
