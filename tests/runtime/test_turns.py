"""What may happen side by side on a GPU, and what must be alone."""

import threading
import time

from runtime.engines.cuda_session import Turns


def test_who_is_alone_waits_for_all_and_keeps_all_waiting() -> None:
    turns, told = Turns(), []
    first = turns.shared()
    first.__enter__()

    def alone() -> None:
        with turns.alone():
            told.append("alone")

    def share() -> None:
        with turns.shared():
            told.append("shared")

    with turns.shared():
        share()
    recording = threading.Thread(target=alone)
    recording.start()
    while not turns._is_alone:
        time.sleep(0.001)
    late = threading.Thread(target=share)
    late.start()
    time.sleep(0.05)
    assert told == ["shared"], "one is still at it, and nobody begins"
    first.__exit__(None, None, None)
    recording.join()
    late.join()
    assert told == ["shared", "alone", "shared"]
