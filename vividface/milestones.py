"""The milestones of the chain: what is versioned as one piece, and which rules make it."""

from __future__ import annotations

from vividface.errors import InputError

MILESTONES: dict[str, tuple[str, ...]] = {
    "data": (
        "fetch_assets",
        "fetch_pretrained",
        "empty_prompt",
        "fetch_dataset",
        "find_shots",
        "plan_clips",
        "extract_clips",
        "gather_clips",
        "face_masks",
    ),
    "degraded": ("degrade",),
    "scores": (
        "fetch_judge",
        "score_clips",
        "select_clips",
        "repeat_scores",
        "clip_quality",
        "study_sets",
        "filter_study",
    ),
    "latents": ("encode_latents",),
    "latent_stage": ("latent_stage",),
    "pixel_stage": ("pixel_stage",),
    "evaluation": ("restore", "reference_faces", "measure"),
    "tables": ("write_tables", "filtering_page", "render_report", "showcase", "enhance"),
}


def milestone_of(rule: str) -> str:
    """The milestone that a rule belongs to.

    Raises:
        InputError: it is in none, so what it makes would be versioned nowhere.
    """
    for milestone, rules in MILESTONES.items():
        if rule in rules:
            return milestone
    raise InputError(f"rule {rule}: belongs to no milestone; add it to MILESTONES in vividface/milestones.py")
