"""Choosing the judge."""

from __future__ import annotations

from vividface.config import FilterConfig
from vividface.filtering.base import Judge
from vividface.filtering.rubric import Rubric


def load_judge(config: FilterConfig, rubric: Rubric, *, device: str = "cpu") -> Judge:
    """The judge that the configuration names.

    Args:
        config: name of the judge, its settings and the number of attempts.
        rubric: rubric that it scores on.
        device: device of Qwen2.5-VL.

    Raises:
        InputError: it cannot score on this rubric, or its model is missing.
    """
    match config.judge:
        case "qwen2.5-vl":
            from vividface.filtering.qwen import QwenJudge

            assert config.qwen is not None
            return QwenJudge(config.qwen, rubric, max_attempts=config.max_attempts, device=device)
        case "openai":
            from vividface.filtering.openai import OpenAIJudge

            assert config.openai is not None
            return OpenAIJudge(config.openai, rubric, max_attempts=config.max_attempts)
        case "measured":
            from vividface.filtering.measured import MeasuredJudge

            return MeasuredJudge(rubric)
