"""How faces are found, parsed and told apart."""

from __future__ import annotations

from typing import Literal

from vividface.config.fields import Section, key
from vividface.errors import InputError

# Name of each backend's identity network, as the metrics' variants carry it.
IDENTITY_NETWORKS = {"mediapipe": "dlib", "dlib": "dlib", "facexlib": "irse50"}
# px: `detection_size` of each backend outside of an experiment. dlib's detector takes its time; mediapipe
# looks for small faces in one row of squares of a wide frame.
_DETECTION_SIZES = {"mediapipe": 256, "dlib": 640, "facexlib": 1024}


class FacesConfig(Section):
    """The face backend: detection, landmarks, parsing, identity."""

    backend: Literal["mediapipe", "dlib", "facexlib"] = key(
        "networks that look at faces; section 3.2's BiSeNet is facexlib's", "section 3.2"
    )
    detector: Literal["retinaface_resnet50", "retinaface_mobile0.25"] = key(
        "facexlib's detector", default="retinaface_resnet50"
    )
    detection_size: int = key("longer side of the image in which faces are looked for, px", ge=128)
    min_score: float = key(
        "detection confidence below which a face is ignored; facexlib's default", default=0.8, gt=0, lt=1
    )
    batch_size: int = key("frames at a time", default=8, ge=1, execution=True)
    mask: list[Literal["face", "hair", "neck", "cloth"]] = key(
        "regions of the mask M_p; docs/faces.md lists their labels",
        "section 3.2",
        default=["face"],
        min_length=1,
    )

    @classmethod
    def of_backend(cls, backend: str) -> FacesConfig:
        """The settings of a backend outside of an experiment.

        Args:
            backend: name of the backend.

        Raises:
            InputError: there is no such backend.
        """
        if backend not in _DETECTION_SIZES:
            raise InputError(
                f"faces: there is no face backend {backend!r}; choose one of {', '.join(_DETECTION_SIZES)}"
            )
        return cls.model_validate({"backend": backend, "detection_size": _DETECTION_SIZES[backend]})

    @property
    def identity_network(self) -> str:
        """Name of the network that tells people apart."""
        return IDENTITY_NETWORKS[self.backend]
