"""The two training stages and their variants (paper sections 3.2 and 4)."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from vividface.config.fields import Frames, Identifier, Section, key


class TrainingConfig(Section):
    """What both training stages share; a stage's own section overrides it."""

    batch_size: int = key("samples of a step, of all GPUs together", "section 4.1", ge=1)
    learning_rate: float = key("learning rate", "section 4.1", gt=0)
    warmup: int = key("steps of linear warm-up", ge=0)
    schedule: Literal["constant", "cosine"] = key("learning-rate schedule after the warm-up")
    optimizer: Literal["adamw", "adamw_8bit", "muon"] = key(
        "optimizer; `adamw_8bit` needs less memory, `muon` fewer steps from random weights", "section 4.1"
    )
    weight_decay: float = key("weight decay", ge=0)
    max_grad_norm: float = key("norm at which gradients are clipped", gt=0)
    ema_decay: float = key("decay of the averaged weights", ge=0, lt=1)
    lora_rank: int = key("rank of the trained adapters; 0 trains all weights", ge=0)
    precision: Literal["no", "bf16"] = key("mixed precision")
    normalise_by_mask: bool = key("whether Eq. 6 is a mean over the supervised elements only")
    mild_share: float = key(
        "share of the samples that begin a random part of the way from the degraded clip to the true one",
        default=0.0,
        ge=0,
        le=1,
    )
    clean_share: float = key(
        "share of the samples that begin at the true clip, so that it is left alone", default=0.0, ge=0, le=1
    )
    crop_size: int | None = key(
        "side of a random crop of each sample, px; null: the whole clip", default=None, ge=16, multiple_of=16
    )
    num_validation_clips: int = key(
        "clips measured in validation, of people who are held out of the training", ge=0
    )
    micro_batch: int = key("samples a GPU computes at once; gradients are accumulated", ge=1, execution=True)
    gradient_checkpointing: bool = key("whether activations are recomputed to save memory", execution=True)
    strategy: Literal["ddp", "fsdp"] = key(
        "distribution; `fsdp` shards weights, gradients and optimizer states", execution=True
    )
    num_workers: int = key("processes that read batches ahead", ge=0, execution=True)
    in_memory: bool = key(
        "whether all clips are kept in the memory of the GPU, or of the CPU where there is none, instead of "
        "being read as they are needed; for small data sets",
        default=False,
        execution=True,
    )
    max_loss_ratio: float = key(
        "multiple of its recent mean above which a loss stops the training", gt=1, execution=True
    )
    log_every: int = key("steps between points of the training curve", ge=1, execution=True)
    validate_every: int = key("steps between validations", ge=1, execution=True)
    checkpoint_every: int = key(
        "steps between states that an interrupted run resumes from", ge=1, execution=True
    )
    keep_last: int = key("most recent states that are kept", ge=1, execution=True)
    keep_every: int = key(
        "interval of the steps whose states are kept permanently; 0 keeps none", ge=0, execution=True
    )
    wandb: str | None = key(
        "project on Weights & Biases; TensorBoard files are always written", default=None, execution=True
    )


class LatentStageConfig(TrainingConfig):
    """Stage one: Eq. 7 on precomputed latents."""

    num_frames: Frames = key("frames of a sample", "section 4.1", ge=1)
    iterations: int = key("steps; section 4.1 has 32,000 in all, the split is ours", ge=0)
    fine_share: float = key("last share of the steps, on the selected set only", ge=0, le=1)


class PixelStageConfig(TrainingConfig):
    """Stage two: Eq. 8 on decoded frames."""

    num_frames: Frames = key("frames of a sample", "section 4.1", ge=1)
    iterations: int = key("steps; see latent_stage.iterations", ge=0)
    dists_weight: float = key("lambda of Eq. 8", "section 4.1", ge=0)
    motion_weight: float = key(
        "weight of the squared error of the changes from frame to frame, against flicker", default=0.0, ge=0
    )

    @model_validator(mode="after")
    def _has_motion(self) -> Self:
        if self.motion_weight and self.num_frames == 1:
            raise ValueError("motion_weight needs samples of at least 5 frames; raise num_frames")
        return self


class VariantConfig(Section):
    """A training run: the paper's (`main`) or one of the ablations of Tables 4-6."""

    title: str = key("name in the tables", "")
    latent_p: float = key("p of Eq. 6 in the latent stage", "section 4.1", default=0.5, ge=0, le=1)
    pixel_p: float = key("p of Eq. 6 in the pixel stage", "section 4.1", default=0.5, ge=0, le=1)
    selected_set: bool = key("whether training ends on the selected set", "Table 6", default=True)
    selected_by: Literal["judge", "metric", "random"] = key(
        "who selects: the judge, or as many clips by a metric or at random", default="judge"
    )
    latent_stage_of: Identifier | None = key(
        "variant whose latent stage is taken instead of an own one", "Table 5", default=None
    )
