import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from napari_sam.models.sam1.architecture import Architecture
from napari_sam.models.sam1.build import build
from napari_sam.models.sam1.decoder import CHUNK, FastDecoder

# Of the largest logit, which is about six standard deviations. Upstream's own float32
# lies up to 3.4e-5 standard deviations beside float64, ours as much.
SMALL = 2e-5
KINDS = {  # points, box, mask
    "click": (1, False, False),
    "clicks": (9, False, False),
    "box": (0, True, False),
    "click and box": (1, True, False),
    "mask": (0, False, True),
    "click and mask": (2, False, True),
    "everything": (3, True, True),
}


@pytest.fixture(scope="module")
def network(mobile_state):
    return build(Architecture.VIT_T, mobile_state[0])


@pytest.fixture(scope="module")
def decoder(network):
    return FastDecoder(network.prompt_encoder, network.mask_decoder)


def embedding_of(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, 256, 64, 64, generator=generator)


def encoded(network, kind, count, seed=1):
    """Return what upstream's prompt encoder makes of `count` random prompts."""
    clicks, boxed, masked = KINDS[kind]
    generator = torch.Generator().manual_seed(seed)
    xy = torch.rand(count, clicks, 2, generator=generator) * 1000
    labels = torch.randint(0, 2, (count, clicks), generator=generator)
    corner = torch.rand(count, 2, generator=generator) * 700
    size = 10 + torch.rand(count, 2, generator=generator) * 300
    masks = 5 * torch.randn(count, 1, 256, 256, generator=generator)
    with torch.inference_mode():
        return network.prompt_encoder(
            points=(xy, labels) if clicks else None,
            boxes=torch.cat([corner, corner + size], 1) if boxed else None,
            masks=masks if masked else None,
        )


def upstream(network, embedding, sparse, dense, multimask):
    with torch.inference_mode():
        parts = [
            network.mask_decoder(
                image_embeddings=embedding,
                image_pe=network.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse[i : i + 1],
                dense_prompt_embeddings=dense[i : i + 1],
                multimask_output=multimask,
            )
            for i in range(len(sparse))
        ]
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


def assert_same(ours, theirs):
    logits, _ = theirs
    # Random weights must not make this an easy comparison.
    assert logits.flatten(2).std(2).min() > 0.1
    for a, b, scale in zip(ours, theirs, (logits.abs().max(), 1.0), strict=True):
        assert a.shape == b.shape
        assert a.dtype == torch.float32
        assert (a - b).abs().max() <= SMALL * scale


@pytest.mark.parametrize("multimask", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_upstream_s(network, decoder, kind, multimask):
    embedding = embedding_of()
    sparse, dense = encoded(network, kind, 2)
    given = dense if KINDS[kind][2] else None
    ours = decoder(decoder.prepare(embedding), sparse, given, multimask=multimask)
    assert_same(ours, upstream(network, embedding, sparse, dense, multimask))


@pytest.mark.parametrize("kind", ["click", "box", "everything"])
def test_no_less_exact_than_upstream(network, decoder, kind):
    embedding = embedding_of()
    sparse, dense = encoded(network, kind, 3)
    given = dense if KINDS[kind][2] else None
    ours, _ = decoder(decoder.prepare(embedding), sparse, given, multimask=True)
    theirs, _ = upstream(network, embedding, sparse, dense, True)
    double = copy.deepcopy(network).double()
    parts = (part.double() for part in (embedding, sparse, dense))
    exact, _ = upstream(double, *parts, True)
    ours_off, theirs_off = ((x - exact).pow(2).mean() for x in (ours, theirs))
    assert ours_off.sqrt() <= 2 * theirs_off.sqrt()


@pytest.mark.parametrize("count", [1, CHUNK, CHUNK + 3])
def test_any_number_of_prompts(network, decoder, count):
    embedding = embedding_of()
    sparse, dense = encoded(network, "box", count)
    ours = decoder(decoder.prepare(embedding), sparse, multimask=False)
    assert_same(ours, upstream(network, embedding, sparse, dense, False))


def test_a_hundred_boxes(network, decoder):
    embedding = embedding_of()
    sparse, dense = encoded(network, "box", 100)
    logits, iou = decoder(decoder.prepare(embedding), sparse, multimask=False)
    assert logits.shape == (100, 1, 256, 256)
    some = [0, 49, 50, 98, 99]
    theirs = upstream(network, embedding, sparse[some], dense[some], False)
    assert_same((logits[some], iou[some]), theirs)


def test_a_mask_prompt_counts(network, decoder):
    prepared = decoder.prepare(embedding_of())
    sparse, dense = encoded(network, "everything", 1)
    with_mask, _ = decoder(prepared, sparse, dense, multimask=False)
    without, _ = decoder(prepared, sparse, multimask=False)
    assert (with_mask - without).abs().max() > 0.1 * without.std()


def test_chunks_come_in_order_and_stay_as_they_are(network, decoder):
    prepared = decoder.prepare(embedding_of())
    sparse, _ = encoded(network, "box", 2 * CHUNK + 1)
    whole, iou = decoder(prepared, sparse, multimask=True)
    chunks = list(decoder.chunks(prepared, sparse, multimask=True))
    assert [chunk.first for chunk in chunks] == [0, CHUNK, 2 * CHUNK]
    assert torch.equal(torch.cat([chunk.logits for chunk in chunks]), whole)
    assert torch.equal(torch.cat([chunk.iou for chunk in chunks]), iou)


def test_images_and_calls_do_not_mix(network, decoder):
    sparse, dense = encoded(network, "box", 2)
    prepared = [decoder.prepare(embedding_of(seed)) for seed in (0, 1)]
    first, second = (
        decoder.chunks(each, sparse[i : i + 1], multimask=False)
        for i, each in enumerate(prepared)
    )
    one, two = next(first), next(second)
    for i, chunk in enumerate((one, two)):
        part = slice(i, i + 1)
        theirs = upstream(network, embedding_of(i), sparse[part], dense[part], False)
        assert_same((chunk.logits, chunk.iou), theirs)


def test_threads_do_not_share_memory(network, decoder):
    prepared = decoder.prepare(embedding_of())
    sparse, _ = encoded(network, "box", 2)
    expected = [decoder(prepared, sparse[i : i + 1], multimask=False) for i in (0, 1)]
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(decoder, prepared, sparse[i % 2][None], multimask=False)
            for i in range(8)
        ]
        for i, job in enumerate(jobs):
            assert torch.equal(job.result()[0], expected[i % 2][0])


def test_no_prompts_give_no_chunks(network, decoder):
    sparse, _ = encoded(network, "box", 1)
    prepared = decoder.prepare(embedding_of())
    assert list(decoder.chunks(prepared, sparse[:0], multimask=False)) == []


def test_nothing_is_learnt(network, decoder):
    sparse, _ = encoded(network, "box", 1)
    logits, iou = decoder(decoder.prepare(embedding_of()), sparse, multimask=False)
    assert not logits.requires_grad
    assert not iou.requires_grad
