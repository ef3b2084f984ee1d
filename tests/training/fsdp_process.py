"""One of the processes that share a small model by FSDP on the CPU: see test_distributed.py."""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from vividface.config import load_config
from vividface.models.transformer import OneStepTransformer
from vividface.training.distributed import fsdp_plugin
from vividface.training.trainer import OneStepModule

SMALL = {"num_attention_heads": 1, "text_dim": 24, "freq_dim": 16, "ffn_dim": 48, "num_layers": 2}


def main(folder):
    """Restore latents with a sharded model, differentiate, and save what was found."""
    config = load_config(Path(__file__).parents[2] / "config.yaml")
    policy = fsdp_plugin(config.latent_stage).mixed_precision_policy
    torch.manual_seed(0)
    transformer = OneStepTransformer(**SMALL)
    module = OneStepModule(transformer)
    lq = torch.randn(1, 16, 2, 4, 4)
    found = {"lq": lq, "in_a_block": set()}
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found["plain"] = module(lq)
    mesh = init_device_mesh("cpu", (2,))
    for block in transformer.blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(module, mesh=mesh, mp_policy=policy)
    gathered = transformer.blocks[0].register_forward_pre_hook(
        lambda block, _: found["in_a_block"].add(block.ffn.net[2].weight.dtype)
    )
    with torch.autocast("cpu", torch.bfloat16):
        restored = module(lq)
    restored.square().mean().backward()
    gathered.remove()
    found["restored"] = restored.detach()
    found["sharded"] = {
        "weights": {weight.to_local().dtype for weight in module.parameters()},
        "gradients": {weight.grad.to_local().dtype for weight in module.parameters()},
    }
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for weight in transformer.proj_out.parameters():
            weight.zero_()
        found["unchanged"] = module(lq)
    torch.save(found, folder / f"{dist.get_rank()}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    dist.init_process_group("gloo")
    main(Path(sys.argv[1]))
