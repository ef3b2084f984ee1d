"""How a video is restored, window by window."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import field_validator, model_validator

from vividface.config.fields import Frames, Section, key
from vividface.config.times import parse_point


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
    strength: float | Literal["auto"] = key(
        "share of the model's change that is applied, 0..1; `auto` lowers it for whom restoring would turn "
        "into another person",
        default=1.0,
    )
    face: str = key(
        "faces that are restored: `all`, `largest`, the one at `X,Y@TIME`, or the path of a person's photo",
        default="all",
        min_length=1,
    )
    codec: Literal["h264", "h265", "av1", "ffv1", "prores", "copy-of-input"] = key(
        "codec of a video; ffv1 loses nothing", default="h264"
    )
    quality: int | None = key(
        "rate factor of a video, lower is better; null is the codec's own (h264 16, h265 18, av1 22)",
        default=None,
        ge=0,
        le=63,
    )
    max_turn: float = key(
        "angle between a face and the camera at which it is left alone, degrees; 180 leaves none",
        default=55,
        gt=0,
        le=180,
    )
    hands: bool = key("whether hands in front of a face are found and left as they are", default=True)
    grain: float = key("strength of the input's grain in restored faces", default=0, ge=0, le=1)

    @field_validator("strength", mode="before")
    @classmethod
    def _is_share(cls, strength: object) -> float | Literal["auto"]:
        if strength == "auto":
            return "auto"
        try:
            share = float(str(strength))
        except ValueError:
            share = -1
        if not 0 <= share <= 1:
            raise ValueError(f"{strength} is neither a number from 0 to 1 nor auto")
        return share

    @field_validator("face")
    @classmethod
    def _is_choice(cls, face: str) -> str:
        parse_point(face)
        return face
