"""Options from a file: YAML, TOML, or the ``config.json`` of an earlier run."""

import difflib
import json
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from core.errors import InvalidInputError, MissingDependencyError


def read_config(path: Path, known: Collection[str]) -> dict[str, Any]:
    """The options in the file at ``path``, by their names with underscores.

    ``known`` are the names that options can have; ``--l1`` may be written ``l1``, ``--smooth-labels`` ``smooth-labels``
    or ``smooth_labels``. Of a run's ``config.json``, what was asked for is taken.

    Raises:
        InvalidInputError: if it cannot be read, is no table of options, or names an unknown one.
    """
    if path.exists() and not path.is_file():
        raise InvalidInputError(f"{path} is not a file: a configuration is a .yaml, .toml or .json file")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidInputError(f"cannot read the configuration {path}: {reason}") from error
    try:
        values = _parse(path, text)
    except RecursionError as error:
        raise InvalidInputError(f"{path} is nested too deeply to hold options") from error
    if path.suffix.lower() == ".json" and isinstance(values, dict) and "training" in values:
        values = _as_asked_for(values["training"])
    if not isinstance(values, dict):
        raise InvalidInputError(f"{path} holds no options: write one a line, like width: 64")
    options = {}
    for key, value in values.items():
        name = str(key).replace("-", "_")
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f": did you mean {close[0]}?" if close else "; p2p-train --help lists them"
            raise InvalidInputError(f"{path}: there is no option {str(key)!r}{hint}")
        options[name] = value
    return options


def _as_asked_for(record: Any) -> Any:
    """The options that give a run's resolved configuration again."""
    if not isinstance(record, dict):
        return record
    options = {key: value for key, value in record.items() if key != "skipped"}
    return options | {"skip_broken": True} if record.get("skipped") else options


def _parse(path: Path, text: str) -> Any:
    match path.suffix.lower():
        case ".toml":
            try:
                return tomllib.loads(text)
            except tomllib.TOMLDecodeError as error:
                raise InvalidInputError(f"{path} is not valid TOML: {error}") from error
        case ".json":
            try:
                return json.loads(text)
            except ValueError as error:
                raise InvalidInputError(f"{path} is not valid JSON: {error}") from error
        case ".yaml" | ".yml":
            return _parse_yaml(path, text)
        case _:
            raise InvalidInputError(f"{path}: a configuration is a .yaml, .toml or .json file")


def _parse_yaml(path: Path, text: str) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise MissingDependencyError("pyyaml", "train", "a YAML configuration") from error
    try:
        return yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise InvalidInputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
