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
from sklearn import metrics
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, brier_score_loss, f1_score, log_loss, precision_score, recall_score, roc_auc_score

NO_GUARD = {"min_rows": 1, "min_positives": 1, "min_negatives": 1, "min_selected": 1}
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
    ours = evaluate(labels, scores, attributes={"G": group}, guard=NO_GUARD)
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


def listed(names, values):
    return [{"name": name, "values": [None if v is None else str(v) for v in column]} for name, column in zip(names, values, strict=True)]


def near(ours, theirs, what):
    assert ours is not None, what
    assert ours == pytest.approx(theirs, **EXACT), what


def random_binary(seed):
    """Labels, scores and groups of some kind: few or many rows, with and without ties, one class at times."""
    random = np.random.default_rng(seed)
    rows = int(random.choice([1, 2, 3, 10, 50, 400, 3000]))
    labels = (random.random(rows) < random.choice([0.0, 0.05, 0.5, 0.9, 1.0])).astype(int)
    scores = np.clip(labels * random.choice([0.0, 0.3]) + random.random(rows) * 0.7, 0, 1)
    if random.random() < 0.5:
        scores = np.round(scores, int(random.integers(0, 3)))
    return labels, scores, [str(value) for value in random.integers(0, 4, rows)]


@pytest.mark.parametrize("seed", range(60))
def test_two_classes_on_random_data(evaluate, seed):
    print("seed", seed)
    labels, scores, group = random_binary(seed)
    predicted = (scores >= 0.5).astype(int)
    answer = evaluate(labels, scores, attributes={"G": group}, guard=NO_GUARD)
    ours = answer["performance"]
    both = len(set(labels)) == 2
    truth = {"y_true": labels, "y_pred": predicted}
    near(ours["accuracy"]["value"], metrics.accuracy_score(**truth), "accuracy")
    near(ours["log_loss"], metrics.log_loss(labels, scores, labels=[0, 1]), "log_loss")
    near(ours["brier"], np.mean((scores - labels) ** 2), "brier")
    for name, ratio in {"precision": metrics.precision_score, "recall": metrics.recall_score, "f1": metrics.f1_score}.items():
        theirs = ratio(**truth, zero_division=np.nan)
        assert (ours[name] is None) == bool(np.isnan(theirs)), name
        if ours[name] is not None:
            near(ours[name], theirs, name)
    if both:
        near(ours["roc_auc"], metrics.roc_auc_score(labels, scores), "roc_auc")
        near(ours["balanced_accuracy"], metrics.balanced_accuracy_score(**truth), "balanced_accuracy")
        near(ours["cohen_kappa"], metrics.cohen_kappa_score(labels, predicted), "cohen_kappa")
    else:
        assert ours["roc_auc"] is None
    if both and len(set(predicted)) == 2:
        near(ours["mcc"], metrics.matthews_corrcoef(**truth), "mcc")
    if labels.any():
        near(ours["pr_auc"], metrics.average_precision_score(labels, scores), "pr_auc")
        share, mean = calibration_curve(labels, scores, n_bins=15) if both else ([], [])
        for point, positive, score in zip(ours["calibration"] if both else [], share, mean, strict=True):
            near(point["positive_share"], positive, "calibration")
            near(point["mean_score"], score, "calibration")
    else:
        assert ours["pr_auc"] is None
    check_fairness(answer["fairness"]["G"], labels, predicted, np.array(group))


def check_fairness(ours, labels, predicted, group):
    """Holds distances against fairlearn, on the groups that have the rate: what it takes for 0 is none here."""

    def frame(rate, rows):
        return MetricFrame(metrics=rate, y_true=labels[rows], y_pred=predicted[rows], sensitive_features=group[rows])

    every = np.ones(len(labels), dtype=bool)
    having = {name: np.isin(group, [g for g in set(group) if (rows[group == g]).any()]) for name, rows in {"tpr": labels == 1, "fpr": labels == 0}.items()}
    for name, rate, rows in (
        ("demographic_parity", selection_rate, every),
        ("tpr", true_positive_rate, having["tpr"]),
        ("fpr", false_positive_rate, having["fpr"]),
    ):
        if len(set(group[rows])) < 2:
            continue
        theirs = frame(rate, rows)
        if name == "demographic_parity":
            near(ours["demographic_parity_difference"]["value"], theirs.difference(method="between_groups"), name)
            ratio = theirs.ratio(method="between_groups")
            near(ours["demographic_parity_ratio"]["value"], 1.0 if np.isnan(ratio) else ratio, name)
        elif name == "tpr":
            near(ours["equal_opportunity_difference"]["value"], theirs.difference(method="between_groups"), name)
    if len(set(group[having["tpr"]])) > 1 and len(set(group[having["fpr"]])) > 1:
        frames = [frame(true_positive_rate, having["tpr"]), frame(false_positive_rate, having["fpr"])]
        near(ours["equalized_odds_difference"]["value"], max(one.difference(method="between_groups") for one in frames), "odds")
        ratios = [one.ratio(method="between_groups") for one in frames]
        near(ours["equalized_odds_ratio"]["value"], min(1.0 if np.isnan(ratio) else ratio for ratio in ratios), "odds")


@pytest.mark.parametrize("seed", range(40))
def test_several_classes_on_random_data(measure, seed):
    print("seed", seed)
    random = np.random.default_rng(seed + 1000)
    rows, count = int(random.choice([1, 5, 60, 700])), int(random.choice([3, 4, 7]))
    classes = [f"class {number}" for number in range(count)]
    labels = random.integers(0, count if random.random() < 0.7 else 2, rows)
    scores = random.random((rows, count)) + np.eye(count)[labels] * random.choice([0.0, 0.4])
    if random.random() < 0.4:
        scores = np.round(scores, 1) + 0.1
    scores /= scores.sum(axis=1, keepdims=True)
    group = [str(value) for value in random.integers(0, 3, rows)]
    request = {"classes": classes, "labels": labels.tolist(), "scores": scores.ravel().tolist(), "attributes": listed("G", [group]), "guard": NO_GUARD}
    answer = measure(request)
    ours, predicted, every = answer["performance"], scores.argmax(axis=1), list(range(count))
    assert ours["confusion"] == metrics.confusion_matrix(labels, predicted, labels=every).tolist()
    near(ours["accuracy"]["value"], metrics.accuracy_score(labels, predicted), "accuracy")
    near(ours["balanced_accuracy"], np.mean([np.mean(predicted[labels == c] == c) for c in set(labels.tolist())]), "balanced_accuracy")
    near(ours["log_loss"], metrics.log_loss(labels, scores, labels=every), "log_loss")
    near(ours["micro_f1"], metrics.f1_score(labels, predicted, average="micro"), "micro")
    if len(set(labels)) > 1 or len(set(predicted)) > 1:
        near(ours["cohen_kappa"], metrics.cohen_kappa_score(labels, predicted), "kappa")
    if len(set(labels)) > 1 and len(set(predicted)) > 1:
        near(ours["mcc"], metrics.matthews_corrcoef(labels, predicted), "mcc")
    for k in range(2, min(count, 6)):
        near(ours["top_k_accuracy"][f"top_{k}_accuracy"]["value"], metrics.top_k_accuracy_score(labels, scores, k=k, labels=every), f"top {k}")
    for average in ("macro", "weighted"):
        theirs = metrics.precision_recall_fscore_support(labels, predicted, average=average, zero_division=0)
        for name, value in zip(("precision", "recall", "f1"), theirs, strict=False):
            near(ours[f"{average}_average"][name], value, f"{average} {name}")
        whole = len(set(labels)) == count
        if whole:
            near(ours[f"{average}_average"]["roc_auc"], metrics.roc_auc_score(labels, scores, multi_class="ovr", average=average), "areas")
            binarized = np.eye(count)[labels]
            near(ours[f"{average}_average"]["pr_auc"], metrics.average_precision_score(binarized, scores, average=average), "areas")
        else:
            assert ours[f"{average}_average"]["roc_auc"] is None
    if len(set(group)) > 1:
        frame = MetricFrame(metrics=metrics.accuracy_score, y_true=labels, y_pred=predicted, sensitive_features=group)
        near(answer["fairness"]["G"]["accuracy_difference"]["value"], frame.difference(method="between_groups"), "accuracy")
        gaps = []
        for number, name in enumerate(classes):
            chosen = MetricFrame(metrics=selection_rate, y_true=labels == number, y_pred=predicted == number, sensitive_features=group)
            gaps.append(chosen.difference(method="between_groups"))
            near(answer["fairness"]["G"][f"class.{name}.selection_rate_difference"]["value"], gaps[-1], name)
        near(answer["fairness"]["G"]["selection_rate_difference"]["value"], max(gaps), "selection")


@pytest.mark.parametrize("seed", range(40))
def test_numbers_on_random_data(measure, seed):
    print("seed", seed)
    random = np.random.default_rng(seed + 2000)
    rows = int(random.choice([1, 2, 9, 500]))
    truth = random.normal(random.choice([0.0, 1e6]), random.choice([1.0, 1e-3, 1e5]), rows)
    if random.random() < 0.3:
        truth = np.round(truth)
    predicted = truth + random.normal(0.1, random.choice([0.0, 0.5]), rows)
    group = [str(value) for value in random.integers(0, 3, rows)]
    request = {"truth": truth.tolist(), "predicted": predicted.tolist(), "attributes": listed("G", [group]), "guard": NO_GUARD}
    answer = measure(request)
    ours = answer["performance"]
    near(ours["mae"], metrics.mean_absolute_error(truth, predicted), "mae")
    near(ours["mse"], metrics.mean_squared_error(truth, predicted), "mse")
    near(ours["rmse"], metrics.root_mean_squared_error(truth, predicted), "rmse")
    near(ours["median_absolute_error"], metrics.median_absolute_error(truth, predicted), "median")
    near(ours["max_error"], metrics.max_error(truth, predicted), "max")
    near(ours["mean_residual"], np.mean(truth - predicted), "mean")
    if (truth == 0).any():
        assert ours["mape"] is None
    else:
        near(ours["mape"], metrics.mean_absolute_percentage_error(truth, predicted), "mape")
    if len(set(truth)) > 1:
        near(ours["r2"], metrics.r2_score(truth, predicted), "r2")
        near(ours["explained_variance"], metrics.explained_variance_score(truth, predicted), "explained")
    else:
        assert ours["r2"] is None
    for name, share in {"q01": 0.01, "q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95, "q99": 0.99}.items():
        near(ours["residual"][name], np.quantile(truth - predicted, share), name)
    if len(set(group)) > 1:
        for name, measured in {"mae_difference": metrics.mean_absolute_error, "rmse_difference": metrics.root_mean_squared_error}.items():
            frame = MetricFrame(metrics=measured, y_true=truth, y_pred=predicted, sensitive_features=group)
            near(answer["fairness"]["G"][name]["value"], frame.difference(method="between_groups"), name)


@pytest.mark.parametrize("seed", range(10))
def test_a_threshold_is_the_best_of_all(measure, seed):
    print("seed", seed)
    random = np.random.default_rng(seed + 3000)
    labels = np.concatenate([[0, 1], random.integers(0, 2, 80)])
    scores = np.round(np.clip(labels * 0.3 + random.random(82) * 0.7, 0, 1), int(random.integers(1, 4)))
    choose = lambda rule: measure({"labels": labels.tolist(), "scores": scores.tolist(), "rule": rule})
    candidates = sorted(set(scores.tolist()), reverse=True)
    youden = lambda t: int(((scores >= t) & (labels == 1)).sum()) * int((labels == 0).sum()) - int(((scores >= t) & (labels == 0)).sum()) * int(labels.sum())
    assert choose("max_youden") == max(candidates, key=youden)
    false_positive, recall, _ = metrics.roc_curve(labels, scores, drop_intermediate=False)
    best = max(map(youden, candidates)) / (int(labels.sum()) * int((labels == 0).sum()))
    assert best == pytest.approx(max(recall - false_positive), **EXACT)
    by_f1 = {t: metrics.f1_score(labels, scores >= t) for t in sorted(set(scores), reverse=True)}
    assert choose("max_f1") == max(by_f1, key=by_f1.get)
    assert choose({"recall": 0.8}) == max(t for t in by_f1 if metrics.recall_score(labels, scores >= t) >= 0.8)
    chosen = choose({"cost": {"false_positive": 1.0, "false_negative": 3.0}})
    cost = lambda t: ((scores >= t) & (labels == 0)).sum() + 3 * ((scores < t) & (labels == 1)).sum()
    assert cost(chosen) == min(cost(t) for t in [*by_f1, 2.0])


def test_an_interval_is_the_same_whatever_the_cores(measure):
    labels, scores, _ = sample(9, 300, 2)
    request = {"labels": labels.tolist(), "scores": scores.tolist(), "bootstrap": {"samples": 200, "seed": 3}}
    first, again = measure(request), measure(request)
    assert first == again
    area = first["intervals"]["roc_auc"]
    assert area["low"] < first["performance"]["roc_auc"] < area["high"]
    request["bootstrap"]["seed"] = 4
    assert measure(request)["intervals"] != first["intervals"]
