"""Classification: metrics as scikit-learn has them, the loss by hand, messages that help."""

import json

import numpy as np
import pytest
import sklearn.metrics as reference
import torch
from scipy.special import log_softmax, softmax

from gruvy.errors import BadInput
from gruvy.tasks.classify import Classify

PLAIN, WEIGHED = {"class_weights": False}, {"class_weights": True}


def task(labels=3, flags=PLAIN):
    names = ["ant", "bee", "cow", "dog"][:labels]
    return Classify.fit([name for i, name in enumerate(names) for _ in range(2 * i + 1)], flags)


def example(labels, count=200, seed=0):
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(0, labels, (count,), generator=generator)
    outputs = torch.randn(count, labels, generator=generator)
    outputs[torch.arange(count), targets] += 1
    return outputs, targets


@pytest.mark.parametrize("labels", [2, 3, 4])
def test_metrics_are_those_of_scikit_learn(labels):
    outputs, targets = example(labels)
    chosen, p = outputs.argmax(1).numpy(), softmax(outputs.double().numpy(), 1)
    metrics = task(labels).metrics(outputs, targets)
    average = "binary" if labels == 2 else "macro"
    assert metrics["accuracy"] == pytest.approx(reference.accuracy_score(targets, chosen))
    assert metrics["f1"] == pytest.approx(reference.f1_score(targets, chosen, average=average), abs=1e-6)
    assert metrics["nll"] == pytest.approx(reference.log_loss(targets, p), rel=1e-5)
    assert metrics["calibration_error"] == pytest.approx(calibration_error(p, targets.numpy()), abs=1e-5)


def calibration_error(p, targets, bins=15):
    confidence, right = p.max(1), p.argmax(1) == targets
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    chosen = [bin_of == b for b in range(bins)]
    return sum(abs(right[c].mean() - confidence[c].mean()) * c.mean() for c in chosen if c.any())


@pytest.mark.parametrize("present", [[0], [1], [0, 2]])
def test_metrics_of_rows_that_lack_a_label(present):
    targets = torch.tensor(present * 4)
    outputs = torch.nn.functional.one_hot(targets, 3) * 4.0
    metrics = task(3).metrics(outputs, targets)
    assert metrics["accuracy"] == metrics["f1"] == 1
    assert all(np.isfinite(value) for value in metrics.values())


def test_scores_average_to_the_accuracy():
    outputs, targets = example(3)
    assert task().scores(outputs, targets).mean() == pytest.approx(task().metrics(outputs, targets)["accuracy"])


def test_the_loss_is_the_mean_cross_entropy():
    outputs, targets = example(3)
    by_hand = -log_softmax(outputs.double().numpy(), 1)[np.arange(200), targets].mean()
    assert task().loss(outputs, targets).item() == pytest.approx(by_hand, rel=1e-5)


def test_class_weights_are_the_inverse_of_the_frequency():
    """Balanced weights as scikit-learn defines them, averaged with their weights as torch does."""
    outputs, targets = example(3)
    frequency = np.array([1, 3, 5]) / 9
    weight = (1 / (3 * frequency))[targets]
    losses = -log_softmax(outputs.double().numpy(), 1)[np.arange(200), targets]
    by_hand = (weight * losses).sum() / weight.sum()
    assert task(flags=WEIGHED).loss(outputs, targets).item() == pytest.approx(by_hand, rel=1e-5)


def test_labels_are_sorted_and_numbered():
    made = Classify.fit(["b", "a", "b", "NA"], PLAIN)
    assert made.labels == ("NA", "a", "b")
    assert made.frequencies == (0.25, 0.25, 0.5)
    assert made.output_size == 3
    assert made.encode(["b", "NA"], [1, 2]).tolist() == [2, 0]


def test_an_unknown_label_is_refused_with_its_row_and_what_is_expected():
    with pytest.raises(BadInput) as caught:
        task().encode(["ant", "yak", "emu"], [4, 9, 11])
    for part in ("row 9", "'yak'", "'ant', 'bee', 'cow'"):
        assert part in str(caught.value)


def test_many_labels_are_not_all_listed():
    made = Classify.fit([f"label {i}" for i in range(50)], PLAIN)
    with pytest.raises(BadInput, match=r"'label 1', .*, \.\.\.") as caught:
        made.encode(["?"], [1])
    assert len(str(caught.value)) < 400


def test_one_label_only_is_refused():
    with pytest.raises(BadInput, match="every training row has the label 'ant'"):
        Classify.fit(["ant"] * 5, PLAIN)


@pytest.mark.parametrize("flags", [PLAIN, WEIGHED])
def test_json_and_back(flags):
    made = task(flags=flags)
    assert Classify.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_predictions_hold_the_label_its_probability_and_all_of_them():
    outputs, _ = example(3, count=20)
    for row, prediction in zip(softmax(outputs.double().numpy(), 1), task().predictions(outputs), strict=True):
        assert list(prediction) == ["label", "probability", "probabilities"]
        assert prediction["label"] == task().labels[row.argmax()]
        assert prediction["probability"] == pytest.approx(row.max())
        assert list(prediction["probabilities"].values()) == pytest.approx(row.tolist())
        assert sum(prediction["probabilities"].values()) == pytest.approx(1, abs=1e-9)


def test_the_constant_guess_is_the_training_frequencies():
    outputs = task().constant_outputs(7)
    assert outputs.shape == (7, 3)
    np.testing.assert_allclose(outputs.softmax(1)[3], np.array([1, 3, 5]) / 9, rtol=1e-5)


def test_the_estimator_s_outputs_are_log_probabilities_of_all_labels():
    rng = np.random.default_rng(0)
    made, features, targets = task(4), rng.normal(size=(60, 3)), rng.choice([0, 2, 3], 60)
    estimator = made.estimator().fit(features, targets)  # never sees label 1
    p = made.estimator_outputs(estimator, features).double().softmax(1).numpy()
    np.testing.assert_allclose(p[:, [0, 2, 3]], estimator.predict_proba(features), atol=1e-5)
    assert p[:, 1].max() < 1e-9


def test_details_hold_the_confusion_matrix():
    outputs, targets = example(3)
    lines = task().details(outputs, targets).splitlines()
    expected = reference.confusion_matrix(targets, outputs.argmax(1))
    assert lines[1].split() == ["ant", "bee", "cow"]
    assert [line.split() for line in lines[2:5]] == [
        [name, *map(str, counts)] for name, counts in zip(("ant", "bee", "cow"), expected, strict=True)
    ]


@pytest.mark.parametrize(
    "outputs",
    [example(2)[0], torch.zeros(200, 2), torch.tensor([[60.0, 0.0]]).expand(200, -1)],
    ids=["mixed", "undecided", "certain"],
)
def test_every_row_is_in_the_calibration(outputs):
    details = task(2).details(outputs, example(2)[1])
    rows = [int(line.split("(")[1].split()[0]) for line in details.splitlines() if line.endswith("rows)")]
    assert sum(rows) == 200


def test_many_labels_show_the_most_frequent():
    made = Classify.fit([f"{i:02}" for i in range(14)], PLAIN)
    targets = torch.arange(14).repeat_interleave(torch.arange(14))
    details = made.details(torch.nn.functional.one_hot(targets, 14).float(), targets)
    assert "the 10 most frequent of 14 labels" in details
    assert details.splitlines()[1].split() == [f"{i:02}" for i in range(4, 14)]
