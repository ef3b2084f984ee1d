"""How a video is restored, window by window."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from vividface.config.fields import Frames, Section, key


class RestorationConfig(Section):
    """The windows in which frames are restored, and the colours of the result."""

    window: Frames = key("frames restored at once; longer videos are cut into windows", ge=1)
    overlap: int = key("frames shared by two windows, faded into each other", ge=0)
    cut_threshold: float | None = key(
        "as clips.cut_threshold; no window crosses a cut, null looks for none",
        default=27,
        gt=0,
        lt=255,
    )
    colour: Literal["none", "adain", "wavelet"] = key(
        "correction of the result's colours to the input's", default="none"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if 2 * self.overlap > self.window:
            raise ValueError(f"overlap: {self.overlap} frames are more than half the window of {self.window}")
        return self


class EnhanceConfig(RestorationConfig):
    """What `vividface enhance` has options for beside the windows."""

    scale: float = key("size of the result over that of the input", default=1, gt=0, le=8)
    margin: float = key("margin around a face, as a share of its side", default=0.3, ge=0, le=2)
    min_face: int = key("median face side below which a face is left alone, px", default=24, ge=8)
    codec: Literal["h264", "h265", "av1", "ffv1", "prores", "copy-of-input"] = key(
        "codec of a video; ffv1 loses nothing", default="h264"
    )
    quality: int | None = key(
        "rate factor of a video, lower is better; null is the codec's own (h264 16, h265 18, av1 22)",
        default=None,
        ge=0,
        le=63,
    )
