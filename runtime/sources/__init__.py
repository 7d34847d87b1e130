"""Where frames come from: the built-in demo, images, videos, cameras, network streams and pipes."""

from runtime.pixel_format import PixelFormat as PixelFormat
from runtime.sources.base import Outage as Outage
from runtime.sources.base import SourceOptions as SourceOptions
from runtime.sources.base import VideoSource as VideoSource
from runtime.sources.cameras import CameraSource as CameraSource
from runtime.sources.captures import hide_password as hide_password
from runtime.sources.demo import DEMO as DEMO
from runtime.sources.demo import DemoSource as DemoSource
from runtime.sources.images import ImageSource as ImageSource
from runtime.sources.opening import CAMERA as CAMERA
from runtime.sources.opening import CHOICES as CHOICES
from runtime.sources.opening import URL as URL
from runtime.sources.opening import open_source as open_source
from runtime.sources.raw import RawSource as RawSource
from runtime.sources.streams import StreamSource as StreamSource
from runtime.sources.video_files import VideoFileSource as VideoFileSource
