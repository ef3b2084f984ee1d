"""How videos become clips of one face (paper section 3.3)."""

from __future__ import annotations

from pydantic import field_validator

from vividface.config.fields import Frames, Section, key


class ClipsConfig(Section):
    """Cutting videos into clips and cropping the face (paper section 3.3)."""

    num_frames: Frames = key("frames of a clip", "section 4.1", ge=5)
    size: int = key("side of the crops, px", "section 4.1", ge=32)
    cut_threshold: float = key(
        "change between frames, 0..255, above which shots are split; PySceneDetect's",
        gt=0,
        lt=255,
    )
    margin: float = key("margin around the union of the face boxes, as a share of its side", ge=0, le=2)
    min_face: int = key("median face width below which a clip is rejected, px", ge=16)
    max_lost_share: float = key("share of frames without a face above which a clip is rejected", ge=0, lt=1)
    max_padding_share: float = key(
        "share of the crop outside the frame above which a clip is rejected", ge=0, lt=1
    )
    max_rejected_share: float = key(
        "share of rejected clips above which a run stops", ge=0, le=1, execution=True
    )

    @field_validator("size")
    @classmethod
    def _multiple_of_sixteen(cls, size: int) -> int:
        if size % 16:
            raise ValueError(f"{size} px is not a multiple of 16")
        return size
