"""The experiment as typed, validated sections: the only reader of config.yaml."""

from vividface.config.clips import ClipsConfig
from vividface.config.degradation import DegradationConfig, KeepDegradation
from vividface.config.evaluation import BASELINES, FACE_NETWORKS
from vividface.config.experiment import STAGES, Config
from vividface.config.faces import FacesConfig
from vividface.config.fields import Section, is_execution
from vividface.config.filtering import FilterConfig, SelectionConfig
from vividface.config.loading import (
    describe_problems,
    load_config,
    merge,
    merge_files,
    read_yaml,
    validate_config,
    validate_enhance,
)
from vividface.config.model import ModelConfig
from vividface.config.restoration import EnhanceConfig, RestorationConfig
from vividface.config.training import LatentStageConfig, PixelStageConfig, TrainingConfig

__all__ = [
    "BASELINES",
    "FACE_NETWORKS",
    "STAGES",
    "ClipsConfig",
    "Config",
    "DegradationConfig",
    "EnhanceConfig",
    "FacesConfig",
    "FilterConfig",
    "KeepDegradation",
    "LatentStageConfig",
    "ModelConfig",
    "PixelStageConfig",
    "RestorationConfig",
    "Section",
    "SelectionConfig",
    "TrainingConfig",
    "describe_problems",
    "is_execution",
    "load_config",
    "merge",
    "merge_files",
    "read_yaml",
    "validate_config",
    "validate_enhance",
]
