"""LPIPS and FID: with weights in PyTorch's cache they are measured; without, one line says so and nothing waits."""

import hashlib
import io
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchmetrics
from torch.nn import functional

from core.checkpoint import save_generator
from core.configuration import CheckpointInfo, DataConfig, GeneratorConfig
from core.errors import UnavailableError
from core.frames import Size
from core.networks import build_generator
from train import distribution_metrics
from train.distribution_metrics import ALEXNET, INCEPTION, DistributionDistance, PerceptualDistance, Weights
from train.evaluate import evaluate_job
from train.evaluation_request import EvaluationRequest

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise URLError(socket.gaierror(-2, "Name or service not known"))

    monkeypatch.setattr("torch.hub.urlopen", refuse)


def keep(weights: Weights, state: dict[str, torch.Tensor]) -> None:
    weights.path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, weights.path)


def frames(count: int, *, side: int = 48) -> list[np.ndarray]:
    random = np.random.default_rng(3)
    return list(random.integers(0, 256, (count, side, side, 3), dtype=np.uint8))


@pytest.fixture
def run(images: Path, tmp_path: Path) -> Path:
    config = GeneratorConfig(width=4, levels=5)
    info = CheckpointInfo(
        generator=config, data=DataConfig(source=str(images), height=32, width=32), step=1, name="run"
    )
    save_generator(tmp_path / "run" / "generator.safetensors", build_generator(config), info)
    return tmp_path / "run"


def lpips_by_hand(state: dict[str, torch.Tensor], one: np.ndarray, other: np.ndarray) -> float:
    """Zhang et al. 2018, equation 1, with the linear layers that torchmetrics carries."""
    folder = Path(torchmetrics.__file__).parent / "functional" / "image" / "lpips_models"
    linear = torch.load(folder / "alex.pth", map_location="cpu", weights_only=True)
    shift, scale = (torch.tensor(v).view(1, 3, 1, 1) for v in ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)))
    layers = [(0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1)]  # torchvision's number, stride, padding
    images = [torch.from_numpy(f[..., ::-1].copy()).permute(2, 0, 1)[None].double() / 127.5 - 1 for f in (one, other)]
    x = [(image - shift) / scale for image in images]
    total = 0.0
    for i, (number, stride, padding) in enumerate(layers):
        if i in (1, 2):
            x = [functional.max_pool2d(y, 3, 2) for y in x]
        weight, bias = (state[f"features.{number}.{kind}"].double() for kind in ("weight", "bias"))
        x = [functional.conv2d(y, weight, bias, stride, padding).relu() for y in x]
        unit = [y / torch.sqrt(1e-8 + (y * y).sum(1, keepdim=True)) for y in x]
        difference = (unit[0] - unit[1]) ** 2
        total += float((difference * linear[f"lin{i}.model.1.weight"].double()).sum(1).mean())
    return total


def test_lpips_is_that_of_the_paper_by_the_weights_in_the_cache(run: Path) -> None:
    from torchvision.models import alexnet

    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in alexnet(weights=None).state_dict().items()}
    state = {
        name: torch.randn(shape, generator=torch.Generator().manual_seed(i)) * 0.05
        if name.startswith("features")
        else torch.zeros(1).expand(shape)  # the classifier is most of the file, and of no use here
        for i, (name, shape) in enumerate(shapes.items())
    }
    keep(ALEXNET, state)
    told: list[str] = []
    distance = PerceptualDistance(size=Size(48, 48), device=CPU, tell=told.append)
    one, other = frames(2)
    assert distance.measure(one, one) == 0
    assert distance.measure(one, other) == pytest.approx(lpips_by_hand(state, one, other), rel=1e-4)
    assert not distance.published
    assert "not the published ones" in told[0]

    request = EvaluationRequest(evaluate=run, device="cpu", threads=1, limit=1)
    folder = Path(evaluate_job(request, stream=io.StringIO())["folder"])
    summary = json.loads((folder / "summary.json").read_text())
    assert (folder / "metrics.csv").read_text().splitlines()[0] == "name,l1,psnr_db,ssim,lpips"
    assert summary["mean"]["lpips"] > 0
    assert summary["measured_with_other_weights"] == ["lpips"]
    assert summary["not_measured"] == {"fid": "a distribution needs two pictures or more, and there is one"}


@pytest.mark.slow
def test_fid_is_the_distance_of_two_gaussians(monkeypatch: pytest.MonkeyPatch) -> None:
    extractor = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    from torchmetrics.image.fid import NoTrainInceptionV3

    torch.manual_seed(0)
    with monkeypatch.context() as patched:
        patched.setattr(extractor, "load_state_dict_from_url", lambda *_, **__: {})
        patched.setattr(torch.nn.Module, "load_state_dict", lambda *_, **__: None)
        network = extractor.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.train()
            module.momentum = 1.0  # the statistics of what follows, so that features are of a size like real ones
    pictures = torch.from_numpy(np.stack(frames(3))).flip(3).permute(0, 3, 1, 2)
    network(pictures)
    keep(INCEPTION, network.state_dict())

    distance = DistributionDistance(pictures=3, device=CPU, tell=lambda _: None)
    dark = [frame // 2 for frame in frames(3)]
    for frame, target in zip(dark, frames(3), strict=True):
        distance.add(frame, target)
    reference = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(INCEPTION.path))
    rgb = [torch.from_numpy(np.stack(kind)).flip(3).permute(0, 3, 1, 2) for kind in (dark, frames(3))]
    with torch.inference_mode():
        x, y = (reference(kind).double().numpy() for kind in rgb)
    # Of n pictures the covariances are A'A / (n - 1): the trace of the root of their product is a nuclear norm.
    a, b = x - x.mean(0), y - y.mean(0)
    root = np.linalg.svd(a @ b.T, compute_uv=False).sum() / 2
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + ((a * a).sum() + (b * b).sum()) / 2 - 2 * root
    assert expected > 1
    assert distance.compute() == pytest.approx(expected, rel=0.01)


@pytest.mark.usefixtures("no_network")
def test_without_weights_the_evaluation_goes_on_and_says_why_and_where(run: Path, tmp_path: Path) -> None:
    told = io.StringIO()
    summary = evaluate_job(EvaluationRequest(evaluate=run, device="cpu", threads=1), stream=told)
    reason = summary["not_measured"]["lpips"]
    place = tmp_path / "torch" / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth"
    assert reason == (
        f"the weights of AlexNet could not be downloaded (Name or service not known): put {ALEXNET.url} at {place}"
    )
    assert f"LPIPS: not measured ({reason})" in told.getvalue().splitlines()
    assert set(summary["not_measured"]) == {"lpips", "fid"}
    header = (run / "evaluation" / "val" / "metrics.csv").read_text().splitlines()[0]
    assert header == "name,l1,psnr_db,ssim"
    assert set(summary["mean"]) == {"l1", "psnr_db", "ssim"}
    assert not place.exists()


def test_a_damaged_file_in_the_cache_is_named() -> None:
    ALEXNET.path.parent.mkdir(parents=True)
    ALEXNET.path.write_bytes(b"not weights at all")
    with pytest.raises(UnavailableError, match=r"alexnet-owt-7be5be79\.pth cannot be used .*: remove that file"):
        PerceptualDistance(size=Size(48, 48), device=CPU, tell=lambda _: None)


def test_pictures_that_are_too_small_are_refused_before_anything_is_downloaded() -> None:
    with pytest.raises(UnavailableError, match="AlexNet needs pictures of 31 pixels or more, and these are 30x64"):
        PerceptualDistance(size=Size(30, 64), device=CPU, tell=lambda _: None)


@pytest.fixture
def silent_server() -> Iterator[str]:
    """One that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/net-0123abcd.pth"


@pytest.fixture
def server() -> Iterator[str]:
    """One that gives ``weights`` for whatever is asked."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "7")
            self.end_headers()
            self.wfile.write(b"weights")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def test_a_server_that_never_answers_is_given_up(silent_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution_metrics, "TIMEOUT_S", 0.2)
    monkeypatch.setenv("no_proxy", "*")
    weights = Weights("Net", silent_server, 1)
    with pytest.raises(UnavailableError, match=r"weights of Net could not be downloaded \(.*timed out\)"):
        distribution_metrics._download(weights, weights.path)
    assert not list(weights.path.parent.iterdir())
    assert socket.getdefaulttimeout() is None


def test_a_download_is_kept_only_if_it_is_the_published_file(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    digest = hashlib.sha256(b"weights").hexdigest()
    right, wrong = Weights("Net", f"{server}/net-{digest[:8]}.pth", 1), Weights("Net", f"{server}/net-0123abcd.pth", 1)
    with pytest.raises(UnavailableError, match="invalid hash value"):
        distribution_metrics._download(wrong, wrong.path)
    assert not list(wrong.path.parent.iterdir())
    distribution_metrics._download(right, right.path)
    assert right.path.read_bytes() == b"weights"
