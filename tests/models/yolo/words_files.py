"""YOLOE and YOLO-World with random weights, and what reads words, small.

Apple's network written anew, as ultralytics traces it, and OpenAI's.
"""

from __future__ import annotations

import warnings

import torch
from torch import nn

from napari_sam.models.ultra import load_ultralytics, quiet

VOCABULARY, LENGTH, WIDTH, HEADS, OUT = 49408, 77, 128, 2, 512


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv_proj = nn.Linear(WIDTH, 3 * WIDTH)
        self.out_proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x, mask):
        batch, length, _ = x.shape
        qkv = self.qkv_proj(x).reshape(batch, length, 3, HEADS, WIDTH // HEADS)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        sims = query @ key.transpose(-1, -2) * (WIDTH // HEADS) ** -0.5 + mask
        joined = (sims.softmax(-1) @ value).transpose(1, 2)
        return self.out_proj(joined.reshape(batch, length, WIDTH))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        norm = nn.LayerNorm
        self.pre_norm_mha = nn.Sequential(norm(WIDTH), Attention(), nn.Identity())
        self.pre_norm_ffn = nn.Sequential(
            norm(WIDTH),
            nn.Linear(WIDTH, 4 * WIDTH),
            nn.GELU(),
            nn.Identity(),
            nn.Linear(4 * WIDTH, WIDTH),
            nn.Identity(),
        )

    def forward(self, x, mask):
        x = x + self.pre_norm_mha[1](self.pre_norm_mha[0](x), mask)
        return x + self.pre_norm_ffn(x)


class Positions(nn.Module):
    def __init__(self):
        super().__init__()
        self.pos_embed = nn.Module()
        self.pos_embed.pos_embed = nn.Parameter(torch.randn(1, 1, LENGTH, WIDTH) * 0.1)


class TextEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding_layer = nn.Embedding(VOCABULARY, WIDTH)
        self.positional_embedding = Positions()
        self.transformer = nn.ModuleList(Block() for _ in range(2))
        self.final_layer_norm = nn.LayerNorm(WIDTH)
        self.projection_layer = nn.Parameter(torch.randn(WIDTH, OUT) * WIDTH**-0.5)

    def forward(self, text):
        x = self.embedding_layer(text)
        x = x + self.positional_embedding.pos_embed.pos_embed[0]
        mask = torch.full((LENGTH, LENGTH), float("-inf")).triu(1)
        for block in self.transformer:
            x = block(x, mask)
        x = self.final_layer_norm(x)
        return x[torch.arange(text.shape[0]), text.argmax(-1)] @ self.projection_layer


class MobileClip(nn.Module):
    """As ultralytics traces Apple's: the half that looks is there, unused."""

    def __init__(self):
        super().__init__()
        self.image_encoder = nn.Conv2d(3, 4, 3)
        self.text_encoder = TextEncoder()
        self.logit_scale = nn.Parameter(torch.ones(()))

    def forward(self, text):
        return nn.functional.normalize(self.text_encoder(text), dim=-1)


def small_clip():
    """OpenAI's, by open_clip, answering as its `encode_text`."""
    from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

    clip = CLIP(
        OUT,
        CLIPVisionCfg(layers=1, width=64, image_size=32, patch_size=32),
        CLIPTextCfg(width=WIDTH, heads=HEADS, layers=2),
        quick_gelu=True,
    )
    clip.forward = clip.encode_text
    return clip


def traced(network, path):
    """Save a network as TorchScript."""
    for name, weight in network.named_parameters():
        if weight.ndim > 1 and "embedding" not in name:
            nn.init.normal_(weight, std=weight.shape[-1] ** -0.5)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # it is deprecated, and publishers use it
        text = torch.zeros(2, LENGTH, dtype=torch.long)
        text[:, 3] = VOCABULARY - 1
        script = torch.jit.trace(network.eval(), text, check_trace=False)
        script.save(str(path))
    return path


# The head of YOLOE behind as few layers as there can be.
SMALL = {
    "nc": 8,
    "scales": {"n": [1.0, 1.0, 1024]},
    "backbone": [
        [-1, 1, "Conv", [16, 3, 2]],
        [-1, 1, "Conv", [16, 3, 2]],
        [-1, 1, "Conv", [32, 3, 2]],
        [-1, 1, "Conv", [32, 3, 2]],
        [-1, 1, "Conv", [64, 3, 2]],
    ],
    "head": [[[2, 3, 4], 1, "YOLOESegment", ["nc", 32, 32, 512, True]]],
}


def random_open(architecture, photo, *, examples=False):
    """A module whose answers depend on what it sees and is asked for."""
    tasks = load_ultralytics("ultralytics.nn.tasks")
    yoloe = architecture is SMALL or "yoloe" in architecture
    kind = tasks.YOLOESegModel if yoloe else tasks.WorldModel
    with torch.random.fork_rng(), quiet(), torch.no_grad():
        torch.manual_seed(2)
        module = kind(architecture, verbose=False, nc=8)
        seen = torch.from_numpy(photo).permute(2, 0, 1)[None] / 255
        scenes = [
            nn.functional.interpolate(seen, size) for size in ((160, 192), (128, 192))
        ]
        vectors = nn.functional.normalize(torch.randn(1, 8, 512), dim=-1)
        asked = {"tpe": vectors} if yoloe else {"txt_feats": vectors}
        if yoloe:
            nn.init.normal_(module.model[-1].reprta.m.w3.weight, std=0.02)
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = None  # the average of the passes to come
        for scene in scenes:
            module.train().predict(scene, **asked)
        if examples:
            drawn = torch.zeros(1, 2, 20, 24)
            drawn[0, 0, 3:7, 5:11] = drawn[0, 1, 2:6, 17:22] = 1
            module.eval().predict(scenes[0], vpe=drawn)
            asked = {"vpe": drawn}
        spread(module.eval(), scenes[0], asked)
        module.vectors = vectors  # what its scores are spread for
    module.names = {i: f"kind {i}" for i in range(8)}
    module.task = "segment" if yoloe else "detect"
    return module


def spread(module, scene, asked):
    """Let a few places have sure answers, none ties."""
    seen = {}
    heads = [
        h for h in module.modules() if type(h).__name__.endswith("ContrastiveHead")
    ]
    hooks = [
        head.register_forward_hook(lambda head, _, out: seen.update({head: out}))
        for head in heads
    ]
    module.predict(scene, **asked)
    for hook in hooks:
        hook.remove()
    for head, out in seen.items():
        gain = 1.2 / out.std()
        head.logit_scale += gain.log()
        head.bias.copy_((head.bias - out.mean()) * gain - 2.2)
