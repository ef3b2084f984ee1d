import pytest
import torch
from tokenizers import Tokenizer, models, processors
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from vividface.errors import InputError
from vividface.models.prompt import embed_prompt, load_prompt, write_prompt


@pytest.fixture(scope="module")
def text_encoder(tmp_path_factory):
    """A small UMT5 with random weights, and a tokenizer that ends a text with </s> as its own does."""
    folder = tmp_path_factory.mktemp("text")
    torch.manual_seed(0)
    config = UMT5Config(vocab_size=8, d_model=16, d_kv=4, d_ff=32, num_layers=2, num_heads=4)
    UMT5EncoderModel(config).save_pretrained(folder / "text_encoder")
    tokenizer = Tokenizer(models.WordLevel({"<pad>": 0, "</s>": 1, "<unk>": 2, "face": 3}, unk_token="<unk>"))
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>")
    fast.save_pretrained(folder / "tokenizer")
    return folder


def test_the_empty_prompt_is_one_token_and_zeros(text_encoder, tmp_path):
    prompt = embed_prompt(text_encoder / "text_encoder", text_encoder / "tokenizer")
    assert prompt.shape == (512, 16)
    assert prompt[0].abs().sum() > 0
    assert not prompt[1:].any()
    path = tmp_path / "prompt.safetensors"
    write_prompt(path, prompt)
    assert torch.equal(load_prompt(path, 16), prompt)
    longer = embed_prompt(text_encoder / "text_encoder", text_encoder / "tokenizer", "face")
    assert longer[:2].abs().sum(1).all()
    assert not longer[2:].any()


def test_what_is_not_there_is_named(text_encoder, tmp_path):
    with pytest.raises(InputError, match=r"nowhere.*: no text encoder and tokenizer can be read"):
        embed_prompt(tmp_path / "nowhere", text_encoder / "tokenizer")
    path = tmp_path / "prompt.safetensors"
    with pytest.raises(InputError, match="no prompt embedding can be read"):
        load_prompt(path, 16)
    write_prompt(path, torch.zeros(512, 8))
    with pytest.raises(
        InputError, match="the prompt is \\(512, 8\\), but the transformer needs \\(tokens, 16\\)"
    ):
        load_prompt(path, 16)
