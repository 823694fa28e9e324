"""Taggers: padding changes nothing, the random field is exact, whatever counts."""

import itertools

import numpy as np
import pytest
import torch
from torchcrf import CRF

from gruvy.cells import cell, gru, tanh
from gruvy.cells.lookup import find_cell
from gruvy.errors import BadInput
from gruvy.models.tagging import StepVectors, field_loss, marginals, tag_model

SIZES = {
    "embedding_size": 8, "filters": 4, "kernel_sizes": (3, 5), "hidden_size": 6, "num_layers": 2, "hiding": 0.3,
    "mutation": 0.3, "locked_dropout": 0.2, "dropout": 0.2, "smoothing": 0.1, "crf": False, "members": 2,
    "engine": "eager",
}  # fmt: skip


def model(recurrent=gru, **changes):
    torch.manual_seed(0)
    return tag_model(9, 4, recurrent, **{**SIZES, **changes}).eval()


def batch(lengths=(5, 1, 3), slots=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    steps = max(lengths)
    ids = torch.randint(2, 9, (len(lengths), steps, slots), generator=generator)
    tags = torch.randint(0, 4, (len(lengths), steps), generator=generator)
    for row, length in enumerate(lengths):
        ids[row, length:], tags[row, length:] = 0, -1
    return {"ids": ids, "lengths": torch.tensor(lengths), "tags": tags}


@pytest.mark.parametrize("crf", [False, True])
def test_a_batch_says_what_each_sequence_says_alone(crf):
    tagger, whole = model(crf=crf), batch()
    probabilities, tags = tagger.say(whole)
    for row, length in enumerate(whole["lengths"].tolist()):
        alone = {"ids": whole["ids"][row : row + 1, :length], "lengths": torch.tensor([length])}
        said, chosen = tagger.say(alone)
        torch.testing.assert_close(probabilities[row, :length], said[0], atol=1e-5, rtol=1e-4)
        assert tags[row, :length].tolist() == chosen[0].tolist()
        assert (tags[row, length:] == -1).all()
    torch.testing.assert_close(probabilities[0].sum(-1), torch.ones(5))


@pytest.mark.parametrize("crf", [False, True])
def test_padding_and_what_does_not_count_leave_the_loss_as_it_is(crf):
    tagger, short = model(crf=crf).members[0], batch((4, 2))
    long = {
        "ids": torch.nn.functional.pad(short["ids"], (0, 0, 0, 3)), "lengths": short["lengths"],
        "tags": torch.nn.functional.pad(short["tags"], (0, 3), value=-1),
    }  # fmt: skip
    torch.testing.assert_close(tagger(short), tagger(long))
    assert len(tagger(short)) == (1 if crf else 6)
    masked = {**short, "tags": short["tags"].clone()}
    masked["tags"][0, 1] = -2
    assert len(tagger(masked)) == (1 if crf else 5)


def every_sequence(crf, scores, tags):
    """Log of the summed likelihood of all sequences that agree with `tags`, one by one."""
    steps, kinds = scores.shape
    total, agree = [], []
    for path in itertools.product(range(kinds), repeat=steps):
        value = crf.start_transitions[path[0]] + crf.end_transitions[path[-1]]
        value = value + sum(scores[i, tag] for i, tag in enumerate(path))
        value = value + sum(crf.transitions[a, b] for a, b in itertools.pairwise(path))
        total.append(value)
        if all(wanted < 0 or tag == wanted for tag, wanted in zip(path, tags, strict=True)):
            agree.append(value)
    return torch.logsumexp(torch.stack(total), 0), torch.logsumexp(torch.stack(agree), 0)


@pytest.mark.parametrize("tags", [[0, 2, 1, 1], [-1, 2, -1, 0], [1, -1, -1, -1], [-1, -1, -1, -1], [2]])
def test_the_random_field_is_exact_and_so_is_a_field_with_unknown_tags(tags):
    torch.manual_seed(1)
    crf, steps = CRF(3, batch_first=True), len(tags)
    scores = torch.randn(2, 4, 3, requires_grad=True)  # the second sequence is of full length
    both = torch.tensor([tags + [-1] * (4 - steps), [0, 1, -1, 2]])
    real = torch.arange(4)[None] < torch.tensor([[steps], [4]])
    loss = field_loss(crf, scores, both, real)
    total, agree = every_sequence(crf, scores[0, :steps], tags)
    torch.testing.assert_close(loss[0], total - agree, atol=1e-4, rtol=1e-4)
    ours = torch.autograd.grad(loss[0], (scores, crf.transitions), retain_graph=True)
    theirs = torch.autograd.grad(total - agree, (scores, crf.transitions), allow_unused=True)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, torch.zeros_like(a) if b is None else b, atol=1e-4, rtol=1e-4)


def test_marginals_are_sums_over_all_sequences():
    torch.manual_seed(2)
    crf, scores = CRF(3, batch_first=True), torch.randn(1, 4, 3)
    found = marginals(crf, scores, torch.ones(1, 4, dtype=torch.bool))[0]
    for step, tag in itertools.product(range(4), range(3)):
        tags = [-1] * 4
        tags[step] = tag
        total, agree = every_sequence(crf, scores[0], tags)
        torch.testing.assert_close(found[step, tag], (agree - total).exp(), atol=1e-5, rtol=1e-4)


def test_the_likeliest_sequence_is_said():
    tagger = model(crf=True, members=1)
    crf = tagger.members[0].crf
    one = batch((4,))
    with torch.no_grad():
        crf.transitions.copy_(torch.randn(4, 4) * 3)
        scores = tagger.members[0].scores(one)[0]
        paths = list(itertools.product(range(4), repeat=4))
        real = torch.ones(1, 4, dtype=torch.bool)
        best = max(paths, key=lambda path: float(crf(scores[None], torch.tensor([path]), real)))
    assert tagger.say(one)[1][0].tolist() == list(best)


@pytest.mark.parametrize("crf", [False, True])
def test_members_answer_with_their_mean(crf):
    tagger, one = model(crf=crf), batch()
    single = model(crf=crf, members=1)
    for member in tagger.members:
        member.load_state_dict(tagger.members[0].state_dict())
    single.members[0].load_state_dict(tagger.members[0].state_dict())
    torch.testing.assert_close(tagger.say(one)[0], single.say(one)[0])


def test_steps_are_disturbed_in_training_only():
    torch.manual_seed(0)
    given, likely = np.eye(5, dtype=np.float32), np.eye(5, dtype=np.float32)
    likely[2:, 2:] = np.roll(np.eye(3), 1, axis=1)  # each id stands for another one
    ids = torch.full((1, 2000, 1), 3)
    ids[0, 1000:] = 0
    vectors = StepVectors(5, 0, given, likely, hiding=0.2, mutation=0.5)
    shares = vectors(ids)[0, :1000].mean(0)
    np.testing.assert_allclose(shares, [0, 0.2, 0, 0.4, 0.4], atol=0.05)
    assert (vectors(ids)[0, 1000:, 0] == 1).all()  # padding stays what it is
    assert (vectors.eval()(ids)[0, :1000, 3] == 1).all()


@pytest.mark.parametrize("name", ["gru", "mgu", "lstm", "gru_carry", "elman"])
def test_any_cell(name):
    tagger = model(find_cell(name), engine="auto", hidden_size=7).train()
    tagger.members[0](batch()).mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in tagger.members[0].parameters())


@cell
def two_inputs(x, a, /, h, W, U, V):
    return tanh(W.h(x) + V.h(a) + U.h(h))


def test_a_cell_of_several_inputs_is_refused():
    with pytest.raises(BadInput, match="a tagger feeds one input; two_inputs reads x, a: use another cell"):
        model(two_inputs)
