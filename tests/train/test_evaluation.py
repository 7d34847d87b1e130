"""Evaluations of a checkpoint: the figures are those of the pictures, and a failure leaves nothing behind."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from core.checkpoint import load_generator, save_generator
from core.configuration import CheckpointInfo, DataConfig, GeneratorConfig, Task, build_settings
from core.errors import EdgeError
from core.frames import Encoding, read_image
from core.networks import build_generator
from core.pairs import Pair
from train import evaluate as job
from train.evaluate import evaluate_job
from train.evaluation import as_seen, evaluate, translate
from train.evaluation_report import file_names
from train.evaluation_request import EvaluationRequest
from train.evaluation_sheet import Exhibit, Section, draw_sheet, thumbnail_size

KINDS = ("input", "output", "target")
MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(images: Path, tmp_path: Path) -> MakeRun:
    """A function that makes a run folder with a generator of random weights, for 32 x 32 pictures."""

    def make(name: str = "run", *, batch: int = 1, data: Path = images, **generator: object) -> Path:
        torch.manual_seed(5)
        config = GeneratorConfig(**({"width": 4, "levels": 5} | generator))
        network = build_generator(config)
        network.train()(torch.randn(4, config.in_channels, 32, 32))  # running statistics of its own
        info = CheckpointInfo(
            generator=config, data=DataConfig(source=str(data), height=32, width=32), step=7, batch=batch, name=name
        )
        save_generator(tmp_path / name / "generator.safetensors", network, info)
        return tmp_path / name

    return make


def measure(run: Path, **options: object) -> Path:
    """Evaluate ``run`` without the measures whose weights are not here; the folder of figures."""
    options = {"device": "cpu", "threads": 1, "perceptual": False} | options
    request = build_settings(EvaluationRequest, evaluate=run, **options)
    return Path(evaluate_job(request, stream=io.StringIO())["folder"])


def read_rows(folder: Path) -> dict[str, dict[str, float]]:
    with (folder / "metrics.csv").open() as file:
        return {row.pop("name"): {name: float(cell) for name, cell in row.items()} for row in csv.DictReader(file)}


def outputs(folder: Path) -> dict[str, np.ndarray]:
    return {path.name: read_image(path) for path in sorted((folder / "images" / "output").iterdir())}


@pytest.mark.parametrize("batch", [1, 8])
def test_the_figures_are_those_of_the_saved_pictures(make_run: MakeRun, batch: int) -> None:
    folder = measure(make_run(batch=batch), split="train")
    rows = read_rows(folder)
    assert list(rows) == ["train/0.png", "train/1.png", "train/2.png", "train/3.png", "mean"]
    for name, row in list(rows.items())[:-1]:
        file = name.replace("/", "_")
        shown = (read_image(folder / "images" / kind / file) for kind in ("output", "target"))
        output, target = (picture.astype(np.float64) for picture in shown)
        assert row["l1"] == pytest.approx(np.abs(output - target).mean() / 127.5)
        assert row["psnr_db"] == pytest.approx(10 * np.log10(255**2 / ((output - target) ** 2).mean()))
        one, other = (torch.from_numpy(frame).permute(2, 0, 1)[None].float() for frame in (output, target))
        _, whole = structural_similarity_index_measure(one, other, data_range=255.0, return_full_image=True)
        assert row["ssim"] == pytest.approx(float(whole[..., 5:-5, 5:-5].mean()), abs=1e-4)
    for measured in ("l1", "psnr_db", "ssim"):
        expected = np.mean([row[measured] for row in list(rows.values())[:-1]])
        assert rows["mean"][measured] == pytest.approx(expected)
    assert json.loads((folder / "summary.json").read_text())["mean"] == pytest.approx(rows["mean"])


@pytest.mark.parametrize("batch", [1, 8])
def test_it_measures_what_is_deployed_and_agrees_with_the_run(make_run: MakeRun, images: Path, batch: int) -> None:
    run = make_run(batch=batch)
    folder = measure(run)
    generator, _ = load_generator(run / "generator.safetensors")
    left = [read_image(images / "val" / f"{i}.png")[:, :40] for i in range(2)]
    inputs = [cv2.resize(half, (32, 32), interpolation=cv2.INTER_AREA) for half in left]
    expected = translate(generator, inputs, batch=batch)
    assert all(np.array_equal(*both) for both in zip(outputs(folder).values(), expected, strict=True))
    saved = folder / "images"
    pairs = [Pair(read_image(saved / "input" / name), read_image(saved / "target" / name)) for name in outputs(folder)]
    quality = evaluate(generator, pairs, batch=batch)
    summary = json.loads((folder / "summary.json").read_text())
    assert quality.l1 == pytest.approx(summary["mean"]["l1"])
    assert quality.psnr_db == pytest.approx(summary["mean"]["psnr_db"])
    assert quality.ssim == pytest.approx(summary["mean"]["ssim"])


def test_paper_mode_is_noisy_and_its_noise_follows_the_seed_and_the_picture(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    deployed = outputs(measure(run, split="train"))
    paper = measure(run, split="train", paper_mode=True)
    assert paper == run.resolve() / "evaluation" / "train-paper"
    noisy = outputs(paper)
    again = outputs(measure(run, split="train", paper_mode=True, out=tmp_path / "again"))
    other = outputs(measure(run, split="train", paper_mode=True, seed=1, out=tmp_path / "other"))
    few = outputs(measure(run, split="train", paper_mode=True, limit=2, out=tmp_path / "few"))
    assert list(few) == ["train_0.png", "train_2.png"]
    for name, picture in noisy.items():
        assert not np.array_equal(picture, deployed[name])
        assert not np.array_equal(picture, other[name])
        assert np.array_equal(picture, again[name])
    assert all(np.array_equal(picture, noisy[name]) for name, picture in few.items())


def test_paper_mode_normalizes_by_the_picture_whatever_the_batch_size_was(make_run: MakeRun) -> None:
    """Without dropout it is what a network trained at batch size 1 is deployed as; running statistics are not."""
    single, many = make_run("single", dropout=False), make_run("many", batch=8, dropout=False)
    before = (many / "generator.safetensors").read_bytes()
    expected, deployed = outputs(measure(single)), outputs(measure(many))
    paper = outputs(measure(many, paper_mode=True))
    for name, picture in paper.items():
        assert np.array_equal(picture, expected[name])
        assert not np.array_equal(picture, deployed[name])
    assert (many / "generator.safetensors").read_bytes() == before


def test_gray_generators_are_measured_against_gray_targets(make_run: MakeRun, images: Path) -> None:
    folder = measure(make_run(in_channels=1, out_channels=1))
    for kind in KINDS:
        picture = read_image(folder / "images" / kind / "val_0.png")
        assert np.array_equal(picture[..., 0], picture[..., 2])
    photo = read_image(images / "val" / "0.png")
    gray = cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY)
    assert np.abs(as_seen(photo, Encoding.GRAY)[..., 1].astype(int) - gray).max() <= 1
    assert as_seen(photo, Encoding.CHROMA) is photo


def test_colorizations_are_measured_in_colour_at_the_lightness_they_were_given(make_run: MakeRun) -> None:
    folder = measure(make_run(task=Task.COLORIZE, in_channels=1, out_channels=2))
    given, output, target = (read_image(folder / "images" / kind / "val_0.png") for kind in KINDS)
    assert np.array_equal(given[..., 0], given[..., 2])
    assert np.abs(target[..., 0].astype(int) - target[..., 2]).max() > 50
    lightness = [cv2.cvtColor(frame, cv2.COLOR_BGR2LAB)[..., 0].astype(int) for frame in (given, output)]
    assert np.median(np.abs(lightness[0] - lightness[1])) <= 1  # colours that a screen cannot show are clipped


def test_generators_that_cannot_be_shown_are_refused(make_run: MakeRun) -> None:
    assert_refused(make_run(in_channels=4), "in_channels = 4, but a frame has 3")


def test_other_data_and_directions_can_be_measured(
    make_run: MakeRun, make_images: Callable[..., Path], tmp_path: Path
) -> None:
    data = make_images(tmp_path / "others" / "test", 3).parent
    run = make_run()
    forth = measure(run, data=str(data), split="test")
    back = measure(run, data=str(data), split="test", direction="BtoA", out=tmp_path / "back")
    a, b = (read_image(forth / "images" / kind / "test_1.png") for kind in ("input", "target"))
    assert np.array_equal(read_image(back / "images" / "input" / "test_1.png"), b)
    assert np.array_equal(read_image(back / "images" / "target" / "test_1.png"), a)


def test_an_evaluation_replaces_the_one_before_and_says_what_it_did(make_run: MakeRun) -> None:
    run = make_run()
    told = io.StringIO()
    measure(run)
    request = EvaluationRequest(evaluate=run, device="cpu", threads=1, perceptual=False, limit=1, save_images=False)
    summary = evaluate_job(request, stream=told)
    folder = run / "evaluation" / "val"
    assert {path.name for path in folder.iterdir()} == {"metrics.csv", "summary.json", "contact_sheet.png"}
    assert (summary["pairs"], summary["pairs_in_split"], summary["step"], summary["mode"]) == (1, 2, 7, "deployed")
    assert (
        "as deployed (normalized by each picture's own statistics, no dropout; on cpu): 1 of 2 val" in told.getvalue()
    )
    assert f"{summary['mean']['l1']:.4f}" in told.getvalue()


def assert_refused(run: Path, because: str, **options: object) -> None:
    before = sorted(run.parent.rglob("*"))
    with pytest.raises(EdgeError, match=because):
        measure(run, **options)
    assert sorted(run.parent.rglob("*")) == before


def test_bad_input_is_one_error_and_leaves_nothing(
    make_run: MakeRun, make_images: Callable[..., Path], tmp_path: Path
) -> None:
    run = make_run()
    (tmp_path / "empty").mkdir()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    (tmp_path / "text.pth").write_text("not a checkpoint")
    broken = make_images(tmp_path / "broken" / "val", 3)
    (broken / "2.png").write_bytes((broken / "2.png").read_bytes()[:90])
    assert_refused(run, "has no test pairs: choose another --split", split="test")
    assert_refused(run, r"limit = 0: input should be greater than or equal to 1", limit=0)
    assert_refused(run, "split = 'dev': input should be 'train', 'val' or 'test'", split="dev")
    assert_refused(run, "there is no folder /nowhere", data="/nowhere")
    assert_refused(run, "thesis holds chapter.txt, which no evaluation wrote", out=tmp_path / "thesis")
    assert_refused(run, r"2\.png is not an image that can be decoded", data=str(broken.parent))
    assert_refused(tmp_path / "nothing", "there is no run or checkpoint .*nothing: give --evaluate")
    assert_refused(tmp_path / "empty", r"empty holds no generator\.safetensors")
    assert_refused(tmp_path / "text.pth", r"text\.pth")


def test_a_generator_that_does_not_say_what_it_was_trained_on_needs_data(make_run: MakeRun, images: Path) -> None:
    run = make_run()
    generator, info = load_generator(run / "generator.safetensors")
    save_generator(run / "generator.safetensors", generator, info.model_copy(update={"origin": "latest_net_G.pth"}))
    assert_refused(run, "does not say what it was trained on: give --data")
    assert (measure(run, data=str(images)) / "metrics.csv").exists()


@pytest.mark.parametrize("earlier", [True, False])
def test_an_interrupted_evaluation_leaves_what_was_there(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, earlier: bool
) -> None:
    run = make_run()
    if earlier:
        measure(run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    write = job.write_image

    def interrupted(path: Path, frame: np.ndarray) -> None:
        write(path, frame)
        if path.name == "val_1.png":
            raise KeyboardInterrupt

    monkeypatch.setattr(job, "write_image", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure(run)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert (run / "evaluation").exists() is earlier


def flat(blue: int, green: int, red: int, *, height: int = 24, width: int = 48) -> np.ndarray:
    return np.full((height, width, 3), (blue, green, red), np.uint8)


def test_the_contact_sheet_shows_input_output_target_left_to_right_for_every_pair() -> None:
    exhibit = Exhibit(input=flat(0, 0, 255), output=flat(0, 255, 0), target=flat(255, 0, 0), caption="a house")
    sheet = draw_sheet("title", [Section(heading="all", exhibits=[exhibit] * 5)])
    cell = thumbnail_size(exhibit.input.shape[:2])  # type: ignore[arg-type]
    assert cell == (96, 192)
    left_edges = []
    for colour in ((0, 0, 255), (0, 255, 0), (255, 0, 0)):
        mask = (sheet == colour).all(2).astype(np.uint8)
        count, _, boxes, _ = cv2.connectedComponentsWithStats(mask)
        assert count - 1 == 5
        assert {(box[3], box[2]) for box in boxes[1:].tolist()} == {cell}
        left_edges.append(sorted(box[0] for box in boxes[1:].tolist()))
    first, second, third = (np.array(edges) for edges in left_edges)
    assert (second - first == third - second).all()
    assert (second > first).all()
    assert len(set(first.tolist())) == 3  # pairs in a row


def test_captions_that_have_no_room_are_shortened() -> None:
    exhibit = Exhibit(input=flat(9, 9, 9), output=flat(9, 9, 9), target=flat(9, 9, 9), caption="long " * 90 + "ü")
    sheet = draw_sheet("title " * 90, [Section(heading="all", exhibits=[exhibit])])
    assert (sheet[:, :18] == 255).all()
    assert (sheet[:, -18:] == 255).all()


def test_of_many_pairs_the_sheet_shows_the_best_and_the_worst(
    make_run: MakeRun, make_images: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_images(tmp_path / "many" / "val", 30).parent
    shown: list[Section] = []
    monkeypatch.setattr(job, "draw_sheet", lambda title, sections: shown.extend(sections) or flat(0, 0, 0))
    rows = read_rows(measure(make_run(), data=str(data)))
    del rows["mean"]
    ranked = sorted(rows, key=lambda name: rows[name]["l1"])
    names = [[exhibit.caption.rpartition("  ")[2] for exhibit in section.exhibits] for section in shown]
    assert names[:2] == [ranked[:3], ranked[:-4:-1]]
    assert len(names[2]) == 18
    assert len({name for section in names for name in section}) == 24
    assert [section.heading for section in shown][2] == "18 of the 24 others, evenly spread"


def test_names_of_files_are_plain_and_different() -> None:
    names = ["val/a.jpg", "val_a.png", "VAL/A.jpg", "../up.png", "clip 00:12.5", "x" * 300 + ".png"]
    assert file_names(names) == [
        "val_a.png",
        "val_a-2.png",
        "VAL_A-3.png",
        "_up.png",
        "clip 00_12.5.png",
        "x" * 120 + ".png",
    ]


def test_a_request_needs_no_torch() -> None:
    code = "import sys, train.evaluation_request; print(sorted({'torch', 'torchmetrics'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
