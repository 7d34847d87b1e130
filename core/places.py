"""Places as people type them."""

from pathlib import Path

from core.errors import InvalidInputError


def expanded(text: str | Path) -> Path:
    """``text`` as a path, ``~`` and ``~user`` as their home folders; as it is where there is no such user."""
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def check_text(option: str, text: str | None) -> None:
    """Refuse names of files that are no text: libraries that are given them end the process.

    Raises:
        InvalidInputError: if ``text`` came from bytes that are not UTF-8.
    """
    try:
        (text or "").encode()
    except UnicodeEncodeError as error:
        shown = (text or "").encode(errors="replace").decode()
        raise InvalidInputError(f"{option} {shown}: the name is not UTF-8 text; rename the file") from error
