"""Figures of every frame: the CSV file, and what Prometheus reads over HTTP."""

import csv
import socket
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from core.errors import InvalidInputError, MissingDependencyError
from runtime.options import parse_retry, parse_width_height
from runtime.reporting import COLUMNS, FrameLog, MetricsServer, parse_place
from runtime.result import DropObserver
from runtime.stages import FrameTimes
from runtime.translator import open_translator
from tests.runtime.pipeline_stand_ins import ListSource

MS = 1_000_000


def times(number: int, *, reused: bool = False) -> FrameTimes:
    return FrameTimes(
        number * 40 * MS,
        capture=1 * MS,
        convert=2 * MS,
        infer=0 if reused else 8 * MS,
        output=3 * MS,
        end_to_end=15 * MS,
        reused=reused,
    )


def test_the_log_has_a_line_for_each_frame(tmp_path: Path) -> None:
    path = tmp_path / "frames.csv"
    with FrameLog(path) as log:
        for number in range(1, 60):
            log.frame_done(number, times(number, reused=number == 5))
        seen = path.read_text()
        assert seen.endswith("\n"), "whole lines while the stream runs"
        assert seen.count("\n") == 60, "all of them, as there may be no further frame for hours"
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [int(row["frame"]) for row in rows] == list(range(1, 60))
    assert rows[10]["captured_s"] == "0.400000"
    assert [rows[10][f"{name}_ms"] for name in ("capture", "convert", "infer", "output", "end_to_end")] == [
        "1.000",
        "2.000",
        "8.000",
        "3.000",
        "15.000",
    ]
    assert [row["reused"] for row in rows[3:6]] == ["0", "1", "0"]


def test_a_log_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="choose another --csv"):
        FrameLog(tmp_path / "missing" / "frames.csv")


def read_metrics(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_two_streams_do_not_write_one_log(tmp_path: Path) -> None:
    path = tmp_path / "frames.csv"
    with FrameLog(path) as first:
        with pytest.raises(InvalidInputError, match=r"frames.csv is being written by another p2p-run: choose another"):
            FrameLog(path)
        first.frame_done(0, times(0))
    assert len(path.read_text().splitlines()) == 2, "its own lines only"
    FrameLog(path).close()
    assert len(path.read_text().splitlines()) == 2, "and free again"


def test_prometheus_reads_what_happened(tiny_bundle: Path) -> None:
    source = ListSource(1, live=True)
    with (
        open_translator(tiny_bundle) as translator,
        MetricsServer("0", source=source, translator=translator) as server,
    ):
        for number in range(10):
            server.frame_done(number, times(number, reused=number == 5))
        figures = read_metrics(server.port)
        assert figures["p2p_frames_total onnx fp32"] == 10
        assert figures["p2p_frames_reused_total"] == 1
        assert figures["p2p_stage_seconds_count infer"] == 9
        assert figures["p2p_stage_seconds_sum output"] == pytest.approx(0.03)
        assert figures["p2p_end_to_end_seconds_bucket 0.01"] == 0
        assert figures["p2p_end_to_end_seconds_bucket 0.02"] == 10
        assert figures["p2p_source_up"] == 1
        server.count_drops(lambda: {"translation": 3, "output": 1})
        assert read_metrics(server.port)["p2p_frames_dropped_total translation"] == 3
        assert isinstance(server, DropObserver)
        source.lost_since_ns = 1
        assert read_metrics(server.port)["p2p_source_up"] == 0
    with pytest.raises(OSError, match="refused"):
        read_metrics(server.port)


def test_a_port_in_use_is_one_line(tiny_bundle: Path) -> None:
    with socket.socket() as taken, open_translator(tiny_bundle) as translator:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InvalidInputError, match=f"127.0.0.1:{port}: .*choose another port"):
            MetricsServer(str(port), source=ListSource(1), translator=translator)


def test_a_missing_library_names_its_extra(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "prometheus_client", None)
    with open_translator(tiny_bundle) as translator, pytest.raises(MissingDependencyError, match=r"\[metrics\]"):
        MetricsServer("0", source=ListSource(1), translator=translator)


def test_what_is_typed_is_understood_or_refused_in_one_line() -> None:
    assert parse_place("9100") == ("127.0.0.1", 9100)
    assert parse_place("0.0.0.0:9100") == ("0.0.0.0", 9100)
    assert parse_width_height("640x480") == (480, 640)
    assert parse_width_height(None) is None
    assert parse_retry("forever") == float("inf")
    assert parse_retry("2.5") == 2.5
    for parse, bad in (
        (parse_place, ("", "x", "70000", "a b:1", ":1")),
        (parse_width_height, ("640", "0x1", "640x480x3", "9999x2", "axb", "")),
        (parse_retry, ("-1", "nan", "inf", "soon", "")),
    ):
        for text in bad:
            with pytest.raises(InvalidInputError):
                parse(text)
