"""Pages that people read: one HTML file each, with its pictures and plots inside, so that it can be sent to anyone."""

import base64
from typing import TYPE_CHECKING, Final

import cv2
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from core.frames import Frame
from export.plot import figure_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

JPEG_QUALITY: Final = 90


def render_page(template: str, **values: object) -> str:
    """The page that ``template`` (of export/templates) makes of ``values``; texts among them are escaped."""
    environment = Environment(
        loader=PackageLoader("export", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)


def picture_url(frame: Frame) -> str:
    """``frame`` as a data URL, compressed as photographs are."""
    _, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def exact_url(frame: Frame, *, up_to: int) -> str:
    """``frame`` as a data URL without loss, unless that takes more than ``up_to`` bytes: then as ``picture_url``."""
    _, data = cv2.imencode(".png", frame)
    if data.size > up_to:
        return picture_url(frame)
    return "data:image/png;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def plot(figure: "Figure", name: str) -> Markup:
    """``figure`` as a part of a page; ``name`` differs from that of every other plot of the page."""
    return Markup(figure_svg(figure, name=name))  # matplotlib escapes what it is given
