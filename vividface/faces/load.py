"""Choosing the face backend."""

from __future__ import annotations

from vividface.config import FacesConfig
from vividface.faces.base import FaceBackend


def load_backend(faces_config: FacesConfig, device: str = "cpu", *, threads: int = 1) -> FaceBackend:
    """The backend that the configuration names.

    Args:
        faces_config: name of the backend, and its options.
        device: device of the networks; those of mediapipe and dlib always run on the CPU.
        threads: number of frames that mediapipe and dlib search at a time.

    Raises:
        MissingWeightsError: the detector's weights are missing. Weights that not every step needs (parsing,
            identity) are looked for when they are first used.
    """
    match faces_config.backend:
        case "facexlib":
            from vividface.faces.facexlib import FacexlibBackend

            return FacexlibBackend(faces_config, device)
        case "mediapipe":
            from vividface.faces.mediapipe import MediapipeBackend

            return MediapipeBackend(faces_config.detection_size, threads=threads)
        case "dlib":
            from vividface.faces.dlib import DlibBackend

            return DlibBackend(faces_config.detection_size, threads=threads)
