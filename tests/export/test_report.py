"""The report beside a manifest, read as a browser would: what it says, what it shows, and what it must not need."""

import base64
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from core.export_record import (
    LayerDamage,
    LeftOut,
)
from core.fidelity import TaskQuality
from core.frames import Frame, Size
from core.manifest import Manifest, Source, Status
from export.fidelity import HeldOut
from export.report import write_report
from export.report_pictures import picture_rows
from export.verdict import Tone, find_verdict
from tests.export.report_bundle import ARTIFACTS, HELD_OUT, INT8, PICTURES, Page, artifact, frames, manifest

HOSTILE = 'a<script>alert("1")</script> --> $x_{ "><img src=x onerror=alert(1)>'


def write(folder: Path, about: Manifest, held_out: HeldOut = HELD_OUT, pictures: Any = PICTURES) -> tuple[str, Page]:
    write_report(folder, about, held_out, pictures)
    text = (folder / "report.html").read_text(encoding="utf-8")
    return text, Page(text)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Page]:
    return write(tmp_path_factory.mktemp("report"), manifest())


def decode(url: str) -> tuple[str, Frame]:
    kind, data = re.fullmatch(r"data:image/(\w+);base64,(.*)", url).groups()  # type: ignore[union-attr]
    return kind, cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)


def test_the_verdict_comes_first(full: tuple[str, Page]) -> None:
    text = full[1].text
    verdict, table = text.index("Ship generator.int8.xml"), text.index("Every artifact")
    head = text[verdict:table]
    assert verdict < table
    for figure in ("8.31 ms", "120 fps", "38.6 dB", "SSIM 0.987", "17 of 255 steps", "median of 102 runs"):
        assert figure in head
    # 15.91 / 8.31 and 11.24 / 8.31
    assert re.search(r"1\.91 . the speed of ONNX Runtime fp32 \(15\.91 ms\)", head)
    assert re.search(r"1\.35 . the speed of OpenVINO fp32 \(11\.24 ms\)", head)
    assert "ONNX Runtime int8 missed its gate: PSNR 29.4 dB, 32 dB needed." in head
    assert "ONNX Runtime fp16 is storage only on this CPU" in head
    assert "ONNX Runtime int8 is slower than its fp32: 16.72 against 15.91 ms. This CPU has no VNNI." in head
    assert "there is no NVIDIA GPU here" in head


def test_every_artifact_has_its_line(full: tuple[str, Page]) -> None:
    rows = full[1].rows
    columns = rows[0]
    lines = {(row[0], row[1]): dict(zip(columns, row, strict=True)) for row in rows[1 : 1 + len(ARTIFACTS)]}
    assert len(lines) == len(ARTIFACTS)
    line = lines["OpenVINO", "int8"]
    assert [line[name] for name in ("PSNR", "SSIM", "step", "p50", "p90", "p99", "fps", "status")] == [
        "38.6", "0.987", "17", "8.31", "9.14", "11.63", "120", "passed",
    ]  # fmt: skip
    assert [line[name] for name in ("L1 lost", "PSNR lost", "SSIM lost")] == ["0.0014", "0.09", "0.0079"]
    assert lines["ONNX Runtime", "fp32"]["L1 lost"] == ""
    assert lines["ONNX Runtime", "int8"]["status"] == "failed"
    assert lines["TensorRT-RTX", "fp32"]["p50"] == ""


def test_how_it_was_made_is_all_there(full: tuple[str, Page]) -> None:
    text = full[1].text
    for words in (
        "unsigned activations, 7-bit weights", "percentile 36.2 dB", "minmax 33.2 dB", "31.27", "47.35",
        "94 % int8, 6 % fp32", "48 of clips/a.mp4, seed 5", "77; left out as near-duplicates 19, as flat 3",
        "it builds only on the GPU it is for", "f7fd7b2053d1a2ae", "onnxruntime 1.31.1", "21.4", "13.77",
        "PSNR of at least 45 dB", "step 4321", "Some CPU",
    ):  # fmt: skip
        assert words in text


def test_the_page_needs_nothing_but_itself(full: tuple[str, Page]) -> None:
    text, page = full
    links = [
        value for _, attrs in page.elements for name, value in attrs.items() if name in ("src", "xlink:href", "href")
    ]
    assert links
    assert all(re.match(r"data:image/|#", value or "") for value in links)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.elements}
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_plots_are_sound_and_every_link_leads_somewhere(full: tuple[str, Page]) -> None:
    text, page = full
    plots = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(plots) == 3
    for plot in plots:
        ElementTree.fromstring(plot)
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    wanted = {str(attrs[name])[1:] for _, attrs in page.elements for name in ("href", "xlink:href") if name in attrs}
    assert wanted <= set(ids)


def test_differences_are_amplified_around_gray(tmp_path: Path) -> None:
    reference = frames(1, 2)
    steps = np.random.default_rng(4).integers(-20, 21, reference[0].shape)
    made = np.clip(reference[0].astype(int) + steps, 0, 255).astype(np.uint8)
    held_out = HeldOut(frames=frames(1, 1), references=reference)
    _, page = write(tmp_path, manifest(), held_out, {"generator.int8.xml": [made]})
    (url,) = page.pictures("OpenVINO int8 difference")
    kind, shown = decode(url)
    apart = made.astype(np.float64) - reference[0].astype(np.float64)
    assert kind == "png"
    np.testing.assert_array_equal(shown, np.minimum(np.maximum(128 + 8 * apart, 0), 255))
    assert f"up to {np.abs(apart).max():.0f} steps here" in page.text
    np.testing.assert_array_equal(decode(page.pictures("OpenVINO int8")[0])[1], made)
    assert page.pictures("true picture") == []


def test_four_frames_are_shown_and_other_sizes_are_not(full: tuple[str, Page], tmp_path: Path) -> None:
    page = full[1]
    for title in ("input", "original network", "true picture", "OpenVINO int8", "OpenVINO int8 difference"):
        assert len(page.pictures(title)) == 4
    quality = TaskQuality(l1=0.2, psnr_db=16.0, ssim=0.4, frames=8)
    further = artifact("onnx", "fp32", 60.0, 80.0, size=Size(64, 64), quality=quality)
    _, page = write(
        tmp_path, manifest([*ARTIFACTS, further]), pictures={**PICTURES, further.name: frames(4, 9, side=64)}
    )
    assert len(page.pictures("ONNX Runtime fp32")) == 4
    (line,) = [row for row in page.rows if row[0] == "ONNX Runtime 64x64"]
    assert "-0.0331" not in line, "the original's quality is that of another size"


def test_names_from_outside_are_text_and_nothing_else(tmp_path: Path) -> None:
    quantization = INT8.model_copy(
        update={
            "scheme": HOSTILE,
            "kept_float": (HOSTILE,),
            "sensitivity": (LayerDamage(layer=HOSTILE, psnr_db=30.0),),
        }
    )
    failed = ARTIFACTS[4].model_copy(update={"quantization": quantization, "status": Status.FAILED, "reason": HOSTILE})
    about = manifest(
        [failed],
        source=Source(name=HOSTILE, sha256="0" * 64, step=1, origin=HOSTILE),
        libraries={HOSTILE: HOSTILE},
        left_out=(LeftOut(target="onnx", precision="int8", reason=HOSTILE),),
        recommended=None,
    )
    text, page = write(tmp_path, about)
    assert "script" not in {tag for tag, _ in page.elements}
    assert not [attrs for _, attrs in page.elements if "onerror" in attrs or attrs.get("src") == "x"]
    assert page.text.count(HOSTILE) >= 6
    for plot in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(plot)


def test_a_bundle_without_anything_optional_has_a_page(tmp_path: Path) -> None:
    bare = artifact("tensorrt_rtx", "fp32", None, None, status=Status.NOT_RUN, reason="no GPU")
    about = manifest(
        [bare],
        generator=None,
        libraries={},
        gates={},
        reference_quality=None,
        normalizations=(),
        calibration=None,
        left_out=(),
        recommended=None,
    )
    text, page = write(tmp_path, about, HeldOut(frames=frames(1, 1), references=frames(1, 2)), {})
    assert "Nothing was measured" in page.text
    assert "Built, not run: TensorRT-RTX fp32: no GPU" in page.text
    assert "<svg" not in text
    assert "L1 lost" not in page.text
    for absent in ("INT8", "Calibration", "Not made", "None"):
        assert absent not in page.text


def test_where_none_is_faithful_the_verdict_says_what_each_lacks() -> None:
    failed = [
        one.model_copy(update={"status": Status.FAILED, "reason": f"reason {i}"}) for i, one in enumerate(ARTIFACTS[:5])
    ]
    verdict = find_verdict(manifest(failed, recommended=None))
    assert verdict.tone is Tone.BAD
    assert verdict.headline == "No artifact is faithful"
    bad = [finding.text for finding in verdict.findings if finding.tone is Tone.BAD]
    assert [re.search(r"reason \d", text).group() for text in bad] == [f"reason {i}" for i in range(5)]  # type: ignore[union-attr]


def test_only_what_the_figures_show_is_said_of_fp16_and_int8() -> None:
    fast = (
        artifact("onnx", "fp32", 16.0, 80.0),
        artifact("onnx", "fp16", 9.0, 55.0, executes={"fp16": 1.0}),
        artifact("onnx", "int8", 5.0, 40.0, executes={"int8": 0.97, "fp32": 0.03}),
    )
    said = " ".join(finding.text for finding in find_verdict(manifest(fast, recommended=fast[2].name)).findings)
    assert "fp16" not in said
    assert "int8" not in said
    assert "VNNI" not in said
    slow = (
        fast[0],
        artifact("onnx", "fp16", 15.9, 55.0),
        artifact("onnx", "int8", 7.0, 40.0, executes={"int8": 0.5, "fp32": 0.5}),
    )
    said = " ".join(finding.text for finding in find_verdict(manifest(slow, recommended=slow[2].name)).findings)
    assert "ONNX Runtime fp16 brings no speed on this CPU" in said
    assert "storage only" not in said, "nothing is known of what it executes in"
    assert "ONNX Runtime int8 is faster than its fp32 (7.00 against 16.00 ms). The engine executes 50 % int8" in said


def test_notes_are_warnings_before_all_else(tmp_path: Path) -> None:
    notes = ("nothing is known of the data of x.onnx: compared on the built-in facades", "net.onnx, 3 < 4", HOSTILE)
    about = manifest(notes=notes)
    _, page = write(tmp_path, about)
    head = page.text[: page.text.index("Every artifact")]
    assert notes[0].replace("nothing", "Nothing") in head
    assert all(note in head for note in notes[1:]), "a file's name stays as it is"
    findings = find_verdict(about).findings
    assert [finding.tone for finding in findings[:3]] == [Tone.WARNING] * 3
    assert len(findings) == 3 + len(find_verdict(manifest()).findings)


@pytest.mark.parametrize("is_graph", [True, False])
def test_what_was_never_known_of_a_foreign_network_is_left_out(tmp_path: Path, is_graph: bool) -> None:
    changes = {"generator": None} if is_graph else {}
    source = Source(name="zoo", sha256="0" * 64, step=0, batch=3, origin="zoo.onnx, made by another tool")
    _, page = write(tmp_path, manifest(source=source, **changes))
    made = page.text[page.text.index("How it was made", page.text.index("Every artifact")) :]
    assert "zoo.onnx, made by another tool" in made
    assert "step 0" not in page.text
    assert "trained for" not in page.text
    assert ("batch size" in made) is not is_graph
    assert ("direction BtoA" in made) is not is_graph
    _, page = write(tmp_path, manifest(source=source.model_copy(update={"origin": None, "step": 70})))
    assert "trained for 70 steps" in page.text
    assert "step 70, batch size 3 in training" in page.text
    assert "direction BtoA" in page.text


def test_one_artifact_has_its_gate_and_no_trade_off(full: tuple[str, Page], tmp_path: Path) -> None:
    gates, plot = "Gate of (fp32|fp16|int8)", "Fidelity against latency"
    assert re.findall(gates, full[1].text) == ["fp32", "fp16", "int8"]
    assert plot in full[1].text
    untimed = artifact("openvino", "int8", None, 40.0)
    alone = manifest([ARTIFACTS[0], untimed], recommended=ARTIFACTS[0].name)
    _, page = write(tmp_path, alone)
    assert re.findall(gates, page.text) == ["fp32", "int8"]
    assert plot not in page.text
    assert "trade-off" not in {attrs.get("id") for _, attrs in page.elements}
    _, page = write(tmp_path, manifest([ARTIFACTS[0], ARTIFACTS[3]], recommended=ARTIFACTS[3].name))
    assert re.findall(gates, page.text) == ["fp32"]
    assert plot in page.text


@pytest.mark.parametrize("status", [Status.FAILED, Status.NOT_RUN])
def test_a_long_reason_is_cut_in_the_verdict_and_whole_at_the_end(tmp_path: Path, status: Status) -> None:
    long = " ".join(f"word{i}" for i in range(90))
    sizes = [Size(64, 64), None]
    failed = [artifact("onnx", "fp32", None, None, status=status, reason=long, size=size) for size in sizes]
    about = manifest(failed, recommended=None)
    _, page = write(tmp_path, about)
    head, rest = page.text.split("Every artifact", 1)
    assert long not in head
    assert "word29 … (in full at the end)" in head
    assert max(len(finding.text) for finding in find_verdict(about).findings) < 320
    assert rest.count(long) == 2
    _, page = write(tmp_path, manifest([failed[0].model_copy(update={"reason": "x" * 200})], recommended=None))
    assert "in full" not in page.text


def test_the_page_stays_small_enough_to_send() -> None:
    many = [artifact(*kind, 9.0, 40.0) for kind in (("onnx", "fp32"), ("onnx", "fp16"), ("onnx", "int8"))]
    noise = {one.name: frames(4, i, side=256) for i, one in enumerate(many)}
    held_out = HeldOut(frames=frames(4, 7, side=256), references=frames(4, 8, side=256))
    rows = picture_rows(many, held_out, noise)
    urls = [part.url for cards in rows for card in cards for part in (card.upper, card.lower) if part]
    assert 1 <= len(rows) < 4, "noise is as large as pictures get"
    assert sum(map(len, urls)) < 3_000_000
