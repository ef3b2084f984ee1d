"""How clips are degraded (paper section 4.1)."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import field_validator, model_validator

from vividface.config.fields import Range, Section, key

_BOUNDS: dict[str, tuple[float, float]] = {
    "sigma": (0.0, 50.0),
    "scale": (1.0, 16.0),
    "noise": (0.0, 255.0),
    "crf": (0, 51),
}


class _DegradationRanges(Section):
    """Ranges from which a clip's parameters are drawn uniformly."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name, (lowest, highest) in _BOUNDS.items():
            low, high = getattr(self, name)
            if not lowest <= low <= high <= highest:
                raise ValueError(
                    f"{name}: [{low}, {high}] is not an increasing range within [{lowest}, {highest}]"
                )
        return self


class VividFaceDegradation(_DegradationRanges):
    """y = [(x * k_sigma) down_r + n_delta] through ffmpeg at crf (section 4.1)."""

    sigma: Range = key("standard deviation of the Gaussian blur, px", "section 4.1")
    scale: Range = key("down-sampling factor r", "section 4.1")
    noise: Range = key("standard deviation of the Gaussian noise, of 255", "section 4.1")
    crf: tuple[int, int] = key("rate factor of the encoder", "section 4.1")


class KeepDegradation(_DegradationRanges):
    """Blur, noise, down-sampling with a random kernel, noise, codec (KEEP, Feng et al., ECCV 2024)."""

    kernel_size: int = key("side of the blur kernel, px", "KEEP's code", ge=3, le=101)
    sigma: Range = key("standard deviation of the blur along either axis, px; section 4.1's range")
    isotropic: float = key("share of clips with an isotropic blur", "KEEP's code", ge=0, le=1)
    scale: Range = key("down-sampling factor", "KEEP's code")
    interpolations: dict[Literal["area", "linear", "cubic"], float] = key(
        "weights of the down-sampling kernels"
    )
    noise: Range = key("standard deviation of the noise, of 255, redrawn per frame; section 4.1's range")
    grey: float = key("share of frames with grey noise", "KEEP's code", ge=0, le=1)
    crf: tuple[int, int] = key("rate factor of the encoder", "KEEP's test set")

    @field_validator("kernel_size")
    @classmethod
    def _odd(cls, size: int) -> int:
        if size % 2 == 0:
            raise ValueError(f"{size} is even: a kernel has a centre")
        return size

    @field_validator("interpolations")
    @classmethod
    def _some_weight(cls, weights: dict[str, float]) -> dict[str, float]:
        if any(weight < 0 for weight in weights.values()) or not sum(weights.values()):
            raise ValueError("weights are not negative, and one of them is positive")
        return weights


class DegradationConfig(Section):
    """How training and benchmark clips are degraded."""

    model: Literal["vividface", "keep"] = key(
        "degradation model; `keep` is KEEP's, to compare", "section 4.1"
    )
    codec: Literal["libx264"] = key('encoder; the paper says "FFMPEG"')
    encoder_preset: str = key("encoder's preset")
    num_draws: int = key("degradations of each training clip, of which a sample takes one", default=1, ge=1)
    vividface: VividFaceDegradation | None = key(
        "ranges of the paper's model, each drawn uniformly once per clip", "section 4.1", default=None
    )
    keep: KeepDegradation | None = key("ranges of KEEP's model", "KEEP's code", default=None)

    @model_validator(mode="after")
    def _described(self) -> Self:
        if getattr(self, self.model) is None:
            raise ValueError(f"model: {self.model} is chosen, but its section is missing")
        return self
