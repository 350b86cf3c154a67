"""The measures agree with scikit-learn and fairlearn to 1e-12 where they define the same thing."""

import numpy as np
import pytest
from fairlearn.metrics import (
    MetricFrame,
    demographic_parity_difference,
    demographic_parity_ratio,
    equalized_odds_difference,
    false_positive_rate,
    selection_rate,
    true_positive_rate,
)
from sklearn.metrics import accuracy_score, brier_score_loss, f1_score, log_loss, precision_score, recall_score, roc_auc_score

EXACT = {"rel": 1e-12, "abs": 1e-12}


def sample(seed, rows, groups, ties=False):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, rows)
    scores = np.clip(labels * 0.3 + random.random(rows) * 0.7, 0.001, 0.999)
    if ties:
        scores = np.round(scores, 1).clip(0.1, 0.9)
    return labels, scores, [str(value) for value in random.integers(0, groups, rows)]


CASES = [(1, 500, 2, False), (2, 5000, 5, False), (3, 800, 3, True), (4, 97, 2, True)]


@pytest.mark.parametrize(("seed", "rows", "groups", "ties"), CASES)
def test_performance(evaluate, seed, rows, groups, ties):
    labels, scores, _ = sample(seed, rows, groups, ties)
    ours = evaluate(labels, scores)["performance"]
    predicted = scores >= 0.5
    assert ours["accuracy"]["value"] == pytest.approx(accuracy_score(labels, predicted), **EXACT)
    assert ours["precision"] == pytest.approx(precision_score(labels, predicted), **EXACT)
    assert ours["recall"] == pytest.approx(recall_score(labels, predicted), **EXACT)
    assert ours["f1"] == pytest.approx(f1_score(labels, predicted), **EXACT)
    assert ours["roc_auc"] == pytest.approx(roc_auc_score(labels, scores), **EXACT)
    assert ours["log_loss"] == pytest.approx(log_loss(labels, scores), **EXACT)
    assert ours["brier"] == pytest.approx(brier_score_loss(labels, scores), **EXACT)


@pytest.mark.parametrize(("seed", "rows", "groups", "ties"), CASES)
def test_fairness(evaluate, seed, rows, groups, ties):
    labels, scores, group = sample(seed, rows, groups, ties)
    predicted = (scores >= 0.5).astype(int)
    ours = evaluate(labels, scores, attributes={"G": group}, guard={"min_rows": 1, "min_positives": 1})
    frame = MetricFrame(
        metrics={"selection_rate": selection_rate, "true_positive_rate": true_positive_rate, "false_positive_rate": false_positive_rate},
        y_true=labels,
        y_pred=predicted,
        sensitive_features=group,
    )
    for row in ours["groups"]["G"]:
        for name in ("selection_rate", "true_positive_rate", "false_positive_rate"):
            assert row[name]["value"] == pytest.approx(frame.by_group[name][row["values"][0]], **EXACT)
    fairness = ours["fairness"]["G"]
    given = {"y_true": labels, "y_pred": predicted, "sensitive_features": group}
    assert fairness["demographic_parity_difference"]["value"] == pytest.approx(demographic_parity_difference(**given), **EXACT)
    assert fairness["demographic_parity_ratio"]["value"] == pytest.approx(demographic_parity_ratio(**given), **EXACT)
    assert fairness["equalized_odds_difference"]["value"] == pytest.approx(equalized_odds_difference(**given), **EXACT)


def test_one_class_has_no_curve(evaluate):
    ours = evaluate([1, 1, 1], [0.2, 0.6, 0.9])["performance"]
    assert ours["roc_auc"] is None
    assert ours["accuracy"]["value"] == pytest.approx(2 / 3, **EXACT)


def test_a_small_group_is_not_compared(evaluate):
    labels, scores, group = sample(5, 400, 2)
    group[:5] = ["rare"] * 5
    ours = evaluate(labels, scores, attributes={"G": group})
    rare = next(row for row in ours["groups"]["G"] if row["values"] == ["rare"])
    assert rare["support"] != "sufficient"
    assert ["rare"] in ours["fairness"]["G"]["insufficient"]
