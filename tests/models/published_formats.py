"""Weights in the formats that others publish, made of our own models."""

import re

# From diffusers' names to Wan's own, in the order in which they have to be replaced.
_DIT = [
    ("condition_embedder.time_embedder.linear_1", "time_embedding.0"),
    ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
    ("condition_embedder.text_embedder.linear_1", "text_embedding.0"),
    ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
    ("condition_embedder.time_proj", "time_projection.1"),
    ("attn1", "self_attn"),
    ("attn2", "cross_attn"),
    (".to_out.0.", ".o."),
    (".to_q.", ".q."),
    (".to_k.", ".k."),
    (".to_v.", ".v."),
    (".norm2.", ".norm3."),
    ("ffn.net.0.proj", "ffn.0"),
    ("ffn.net.2", "ffn.2"),
    ("proj_out", "head.head"),
    (".scale_shift_table", ".modulation"),
    ("scale_shift_table", "head.modulation"),
]
_RESIDUAL = [
    ("norm1", "residual.0"),
    ("conv1", "residual.2"),
    ("norm2", "residual.3"),
    ("conv2", "residual.6"),
]


def wan_dit(transformer):
    weights = {}
    for key, value in transformer.state_dict().items():
        if key == "prompt":
            continue
        for ours, theirs in _DIT:
            key = key.replace(ours, theirs)
        weights[key] = value.clone()
    return weights


def wan_vae(autoencoder):
    weights = {}
    for key, value in autoencoder.state_dict().items():
        key = re.sub(r"^quant_conv", "conv1", re.sub(r"^post_quant_conv", "conv2", key))
        key = key.replace("coder.conv_in", "coder.conv1")
        key = key.replace("coder.norm_out", "coder.head.0").replace("coder.conv_out", "coder.head.2")
        key = re.sub(r"mid_block.resnets.(\d)", lambda found: f"middle.{2 * int(found[1])}", key)
        key = key.replace("mid_block.attentions.0", "middle.1")
        key = key.replace("down_blocks", "downsamples")
        place = r"up_blocks.(\d).resnets.(\d)"
        key = re.sub(place, lambda found: f"upsamples.{4 * int(found[1]) + int(found[2])}", key)
        key = re.sub(r"up_blocks.(\d).upsamplers.0", lambda found: f"upsamples.{4 * int(found[1]) + 3}", key)
        if "samples" in key or "middle" in key:
            for ours, theirs in [*_RESIDUAL, ("conv_shortcut", "shortcut")]:
                key = re.sub(rf"\b{ours}\b", theirs, key)
            key = key.replace("middle.1.residual.0", "middle.1.norm")
        weights[key] = value.clone()
    return weights


def prefixed(weights, prefix):
    return {prefix + key: value for key, value in weights.items()}
