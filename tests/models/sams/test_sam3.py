"""SAM 3: known by its tensors, strictly loaded, and answering as upstream's modules.

The real networks, but with two of the encoder's thirty-two blocks, and as few of other
layers. That answers to clicks equal those of Meta's own package is for
benchmarks/sam3_parity.py, which needs an environment of its own.
"""

import sys
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchvision.transforms import v2

from napari_sam import annotate, load_detector, load_model
from napari_sam.models.options import DetectorOptions
from napari_sam.models.protocol import PromptableModel, StackModel
from napari_sam.models.sam3.architecture import detect, for_prompts
from napari_sam.models.sam3.build import build, build_words, empty, empty_words
from napari_sam.models.sam3.model import LOW, SIDE, Sam3Model
from napari_sam.models.sam3.words import Sam3Words
from napari_sam.models.ultra import load_ultralytics, quiet
from napari_sam.types import ModelError, Prompt

PATCH = "detector.backbone.vision_backbone.trunk.patch_embed.proj.weight"
NAMES = (
    ("image_encoder.", "detector.backbone."),
    ("memory_attention.", "tracker.transformer.encoder."),
    ("memory_encoder.", "tracker.maskmem_backbone."),
)


@pytest.fixture(scope="module", autouse=True)
def _few_blocks():
    """Let everything have few layers: all would be 850 million random numbers."""
    builders = load_ultralytics("ultralytics.models.sam.build_sam3")
    few = {
        "ViT": {"depth": 2, "global_att_blocks": (1,)},
        "VETextEncoder": {"layers": 2},
        "TransformerEncoderFusion": {"num_layers": 1},
        "TransformerDecoder": {"num_layers": 2},
    }
    whole = {name: getattr(builders, name) for name in few}
    for name, layers in few.items():
        setattr(builders, name, partial(cut, whole[name], layers))
    yield
    for name, kind in whole.items():
        setattr(builders, name, kind)


def cut(whole, few, /, **options):
    return whole(**{**options, **few})


def as_meta(name):
    for ours, theirs in NAMES:
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return f"tracker.{name}"


@pytest.fixture(scope="module")
def state(random_weights):
    """Random weights by Meta's names, with what a whole file has beside them."""
    found = {as_meta(k): t for k, t in random_weights(empty()).items()}
    found["detector.transformer.decoder.norm.weight"] = torch.ones(256)
    found[PATCH.replace("patch_embed.proj.weight", "blocks.0.attn.freqs_cis")] = (
        torch.zeros(576, 32)
    )
    return found


@pytest.fixture(scope="module")
def upstream(state):
    """Ultralytics' network with the same weights."""
    network = empty()
    network.load_state_dict(for_prompts(state))
    return network.eval()


@pytest.fixture(scope="module")
def path(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("sam3") / "weights of mine.pt"
    torch.save({"model": state}, path)
    return path


@pytest.fixture(scope="module")
def model(path):
    return load_model(path, device="cpu")


@pytest.fixture(scope="module")
def plane(new_plane):
    return new_plane((137, 420))


@pytest.fixture(scope="module")
def embedding(model, plane):
    return model.encode(plane)


@torch.inference_mode()
def theirs(network, plane, *, points=None, box=None, mask=None, multimask=False):
    """Answer as Meta's SAM3InteractiveImagePredictor does, with upstream's modules."""
    image = torch.tensor(plane.pixels).permute(2, 0, 1).float() / 255
    image = v2.functional.normalize(
        v2.functional.resize(image, [SIDE, SIDE], antialias=True), [0.5] * 3, [0.5] * 3
    )
    high, low, top = network.forward_image(image[None])["backbone_fpn"]
    scale = SIDE / torch.tensor([plane.shape[1], plane.shape[0]])
    xy, labels = [], []
    if box is not None:
        corners = torch.tensor(box).float().view(2, 2).flip(1) - 0.5
        xy.append(corners)
        labels.append(torch.tensor([2, 3]))
    if points is not None:
        xy.append(torch.tensor(points[0]).float().flip(1) - 0.5)
        labels.append(torch.tensor(points[1]))
    clicks = None
    if xy:
        clicks = (torch.cat(xy)[None] * scale, torch.cat(labels)[None])
    sparse, dense = network.sam_prompt_encoder(points=clicks, boxes=None, masks=mask)
    logits, scores, _, _ = network.sam_mask_decoder(
        image_embeddings=top + network.no_mem_embed.view(1, -1, 1, 1),
        image_pe=network.sam_prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=multimask,
        repeat_image=False,
        high_res_features=[high, low],
    )
    full = F.interpolate(logits, plane.shape, mode="bilinear", align_corners=False)
    return full[0].numpy() > 0, scores[0].numpy(), logits[0].numpy()


def test_it_is_known_by_its_tensors(state, model):
    assert detect(state)
    assert detect({k: t for k, t in state.items() if k.startswith("tracker.")})
    assert not detect({PATCH: torch.zeros(768, 3, 14, 14)})
    assert not detect({"image_encoder.trunk.patch_embed.proj.weight": torch.zeros(3)})
    assert isinstance(model, Sam3Model)
    assert model.info.version == "sam3"
    assert isinstance(model, PromptableModel)
    assert not isinstance(model, StackModel)  # its memory is not used yet


@pytest.mark.parametrize(
    "asked",
    [
        {"points": ([(60.5, 200.5)], [1]), "multimask": True},
        {"points": ([(60.5, 200.5)], [1])},
        {"points": ([(20.5, 30.5), (90.0, 300.25)], [1, 0])},
        {"box": (20.0, 100.0, 90.0, 300.0)},
        {"points": ([(60.5, 200.5)], [0]), "box": (20.0, 100.0, 90.0, 300.0)},
    ],
)
def test_answers_are_those_of_upstream(model, embedding, upstream, plane, asked):
    masks, scores, low = theirs(upstream, plane, **asked)
    points, labels = asked.get("points", (None, None))
    prompt = Prompt(points=points, labels=labels, box=asked.get("box"))
    several = asked.get("multimask", False)
    (answer,) = model.decode(embedding, [prompt], multimask=several)
    (raw,) = model.decode_logits(embedding, [prompt], multimask=several)
    assert raw.logits.shape[1:] == (LOW, LOW)
    assert np.abs(raw.logits - low).max() < 2e-3 * np.abs(low).max()
    assert np.abs(raw.scores - scores).max() < 1e-4
    order = np.argsort(-scores, kind="stable")
    assert len(answer.masks) == len(order) == (3 if several else 1)
    for mask, number in zip(answer.masks, order, strict=True):
        wrong = mask.full(plane.shape) != masks[number]
        assert wrong.sum() <= 1e-3 * wrong.size
    assert 0 < masks.mean() < 1


def test_a_shift_of_half_a_pixel_would_be_noticed(model, embedding, upstream, plane):
    _, _, low = theirs(upstream, plane, box=(20.0, 100.0, 90.0, 300.0))
    moved = Prompt(box=(20.5, 100.5, 90.5, 300.5))
    (raw,) = model.decode_logits(embedding, [moved])
    assert np.abs(raw.logits - low).max() > 2e-3 * np.abs(low).max()


def test_masks_are_prompts(model, embedding, upstream, plane):
    drawn = np.zeros(plane.shape, bool)
    drawn[30:80, 100:260] = True
    low = model.frame(plane.shape).low_mask(drawn)
    assert low.shape == (LOW, LOW)
    inside = low > 0
    share = drawn.mean()
    assert abs(inside.mean() - share) < 0.02 * share
    _, scores, logits = theirs(upstream, plane, mask=torch.tensor(low)[None, None])
    (raw,) = model.decode_logits(embedding, [Prompt(mask=drawn)])
    assert np.abs(raw.logits - logits).max() < 2e-3 * np.abs(logits).max()
    assert np.abs(raw.scores - scores).max() < 1e-4


def test_an_answer_can_be_refined(model, embedding):
    (first,) = model.decode(embedding, [Prompt(points=[(60.5, 200.5)])])
    (second,) = model.decode(
        embedding,
        [Prompt(points=[(60.5, 200.5), (5, 5)], labels=[1, 0], previous=first.best)],
    )
    assert len(second.masks) == 1
    probability = model.probability(first.best, embedding.shape, (0, 0, 137, 420))
    agree = (probability > 0.5) == first.best.full(embedding.shape)
    assert agree.mean() > 0.999


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("tracker.no_mem_embed"), '"no_mem_embed" is missing'),
        (lambda s: s.pop(PATCH), "patch_embed.proj.weight"),
        (lambda s: s.update(adapter=torch.zeros(3)), '"adapter" is not part of it'),
        (
            lambda s: s.update({"tracker.no_mem_embed": torch.zeros(1, 1, 3)}),
            "instead of",
        ),
    ],
)
def test_wrong_and_partial_files_are_refused(state, change, words):
    state = dict(state)
    change(state)
    with pytest.raises(ModelError, match=f"mine.pt: this looks like SAM 3.*{words}"):
        build(state, source="mine.pt")


def test_a_file_with_the_other_half_only_says_so(state, tmp_path):
    path = tmp_path / "half.pt"
    torch.save({k: t for k, t in state.items() if k.startswith("detector.")}, path)
    with pytest.raises(ModelError, match=r"this looks like SAM 3, but .* missing"):
        load_model(path, device="cpu")


# Its other half: words.

WORDS = ("nucleus", "dividing cell")


@pytest.fixture(scope="module")
def words_state(random_weights):
    """Random weights of the other half at which it finds something."""
    weights = random_weights(empty_words())
    weights["transformer.decoder.presence_token_head.layers.2.bias"] += 4
    return {f"detector.{name}": tensor for name, tensor in weights.items()}


@pytest.fixture(scope="module")
def words_network(words_state):
    return build_words(words_state)


@pytest.fixture(scope="module")
def finder(words_network):
    options = DetectorOptions(conf=0.3, iou=0.7, max_det=400)
    return Sam3Words(
        words_network, WORDS, name="sam3.pt", sha256="w", options=options, device="cpu"
    )


@pytest.fixture(scope="module")
def predictor(words_state, tmp_path_factory):
    """Ultralytics' own, with the same weights."""
    kind = load_ultralytics("ultralytics.models.sam").SAM3SemanticPredictor
    with quiet():
        made = kind(overrides={"conf": 0.3, "iou": 0.7, "device": "cpu"})
        made.setup_model(build_words(words_state), verbose=False)
    return made


def agree(found, boxes, masks):
    """Whether boxes (x0, y0, x1, y1, score, class) and masks are the same."""
    assert len(found) == len(boxes) > 3
    seen = boxes[:, [1, 0, 3, 2]].clip(0, [137, 420, 137, 420])
    assert np.abs(found.boxes - seen).max() < 0.2
    assert np.abs(found.scores - boxes[:, 4]).max() < 1e-4
    assert np.array_equal(found.classes, boxes[:, 5].astype(int))
    for ours, theirs in zip(found.masks, masks, strict=True):
        wrong = (ours.full(theirs.shape) != theirs).sum()
        assert wrong <= 2e-3 * theirs.size


def see(finder, predictor, plane):
    features = predictor.get_im_features(finder._image(plane))
    return partial(predictor.inference_features, features, plane.shape)


def test_words_are_found_as_upstream_finds_them(finder, predictor, plane):
    (found,) = finder.detect([plane])
    masks, boxes = see(finder, predictor, plane)(text=list(WORDS))
    agree(found, boxes.numpy(), masks.numpy())
    assert finder.class_names == WORDS
    assert found.outlined
    assert len(set(found.classes.tolist())) > 1


def test_examples_are_found_as_upstream_finds_them(finder, predictor, plane):
    examples = np.array([(20, 100, 90, 300), (5, 5, 60, 80)], float)
    found = finder.find_alike(plane, examples[:1], unlike=examples[1:])
    masks, boxes = see(finder, predictor, plane)(
        bboxes=examples[:, [1, 0, 3, 2]], labels=[1, 0]
    )
    agree(found, boxes.numpy(), masks.numpy())
    (again,) = finder.detect([plane])  # the words are those of before
    assert len(again) and again.classes.max() < len(WORDS)
    with pytest.raises(ModelError, match="at least one"):
        finder.find_alike(plane, [])


def test_classes_and_limits(words_network, finder, plane):
    (every,) = finder.detect([plane])
    wanted = int(every.classes[0])
    few = DetectorOptions(conf=0.3, iou=0.7, max_det=2, classes=(wanted,))
    named = {"name": "sam3.pt", "sha256": "w", "device": "cpu"}
    some = Sam3Words(words_network, WORDS, options=few, **named)
    (found,) = some.detect([plane])
    assert 0 < len(found) <= 2
    assert set(found.classes.tolist()) == {wanted}
    for nothing in ((), ("  ",)):
        with pytest.raises(ModelError, match="finds what words say"):
            Sam3Words(words_network, nothing, **named)


@pytest.fixture(scope="module")
def whole(state, words_state, tmp_path_factory):
    path = tmp_path_factory.mktemp("sam3") / "whole.pt"
    torch.save({**words_state, **state}, path)
    return path


def test_one_file_is_model_and_detector(whole, plane):
    assert isinstance(load_model(whole, device="cpu"), Sam3Model)
    detector = load_detector(whole, words=["nucleus"], conf=0.2, device="cpu")
    assert detector.class_names == ("nucleus",)
    labels, objects = annotate(
        plane.pixels, axes="YXS", detector=detector, min_area=1, conf=0.2
    )
    assert labels.max() == len(objects["id"]) > 0
    assert set(objects["class_name"]) == {"nucleus"}
    with pytest.raises(ModelError, match="finds what words say"):
        load_detector(whole, device="cpu")


def test_other_detectors_do_not_understand_words():
    with pytest.raises(ModelError, match="does not understand words"):
        load_detector("nuclei", words=["mitochondrion"])


def test_the_half_for_words_is_loaded_strictly(words_state, state, tmp_path):
    lacking = dict(words_state)
    del lacking["detector.dot_prod_scoring.prompt_proj.weight"]
    with pytest.raises(ModelError, match=r"asked for words, but .*prompt_proj"):
        build_words(lacking)
    path = tmp_path / "half.pt"
    torch.save({k: t for k, t in state.items() if k.startswith("tracker.")}, path)
    with pytest.raises(ModelError, match="asked for words, but"):
        load_detector(path, words=["nucleus"], device="cpu")


def test_what_reads_words_may_not_be_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip.tokenizer", None)
    with pytest.raises(ModelError, match=r"napari-sam-annotator\[words\]"):
        empty_words()
