"""Frames that are shown turned or mirrored."""

import av
import numpy as np
import pytest

from .helpers import decode, encode, keep, picture, run

# Display matrices by name, in FFmpeg's order, with what they do to a frame.
MATRICES = {
    "mirrored": ([-1, 0, 0, 0, 1, 0, 0, 0, 1], lambda frame: frame[:, ::-1]),
    "upside down and mirrored": ([1, 0, 0, 0, -1, 0, 0, 0, 1], lambda frame: frame[::-1]),
    "half a turn": ([-1, 0, 0, 0, -1, 0, 0, 0, 1], lambda frame: frame[::-1, ::-1]),
    "transposed": ([0, 1, 0, 1, 0, 0, 0, 0, 1], lambda frame: frame.swapaxes(0, 1)),
    "a quarter turn": ([0, 1, 0, -1, 0, 0, 0, 0, 1], lambda frame: np.rot90(frame, -1)),
    "a quarter turn and mirrored": (
        [0, -1, 0, -1, 0, 0, 0, 0, 1],
        lambda frame: frame.swapaxes(0, 1)[::-1, ::-1],
    ),
}


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("restored", [False, True])
def test_the_whole_display_matrix_is_applied(name, restored, tmp_path):
    matrix, shown = MATRICES[name]
    encode(tmp_path / "plain.mp4", count=4)
    scaled = [value * (1 << 30 if index == 8 else 1 << 16) for index, value in enumerate(matrix)]
    with av.open(str(tmp_path / "plain.mp4")) as source, av.open(str(tmp_path / "in.mp4"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        stream.set_display_matrix(scaled)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)

    def add(frames):
        changed = frames.copy()
        changed[:, 8:24, 8:24] = np.minimum(changed[:, 8:24, 8:24], 215) + 40
        return changed

    run(tmp_path / "in.mp4", tmp_path / "new.mp4", add if restored else keep)
    expected = shown(picture(2)).copy()
    if restored:
        expected[8:24, 8:24] = np.minimum(expected[8:24, 8:24], 215) + 40
    (_, pixels, frame) = decode(tmp_path / "new.mp4")[2]
    assert frame.rotation == 0, "the frames themselves are turned"
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected)[4:-4, 4:-4].mean() < 4
