"""Models whose numbers are places: children of a node, features, categories, points. A native library follows them unchecked, so
that a number beyond reaches memory of others, and a circle of children never ends. Written by the real libraries, then changed."""

import copy
import json
import pickle
import struct
from collections.abc import Callable

import numpy as np
import pandas as pd
import xgboost
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neighbors import BallTree, KDTree
from sklearn.tree import DecisionTreeClassifier

from . import lightgbm_text as light
from .corpus import Family, Sample

REFERENCE = "CWE-129"


def samples() -> list[Sample]:
    """Both boosters, then the trees of scikit-learn."""
    family = Family("places")
    _lightgbm(family)
    _xgboost(family)
    _sklearn(family)
    return family.samples


def _lightgbm(family: Family) -> None:
    """LightGBM's text."""
    trees: dict[str, tuple[str, dict[str, str | None], str]] = {
        "threshold_beyond": ("categorical", {"threshold": "0.1 0.2 7"}, "a categorical split names a set beyond the boundaries"),
        "boundary_beyond": ("categorical", {"cat_boundaries": "0 900"}, "a set of categories ends beyond the bits"),
        "boundary_descends": ("categorical", {"num_cat": "2", "cat_boundaries": "0 1 0"}, "the boundaries descend"),
        "boundary_negative": ("categorical", {"cat_boundaries": "-4 1"}, "a boundary below 0"),
        "boundary_missing": ("categorical", {"cat_boundaries": None}, "no boundaries"),
        "sets_without_boundaries": ("plain", {"decision_type": "2 2 1"}, "a categorical split in a tree without categories"),
        "child_before": ("plain", {"left_child": "1 -1 0"}, "a child that stands before its parent"),
        "child_itself": ("plain", {"right_child": "0 -3 -4"}, "a node that is its own child"),
        "child_beyond": ("plain", {"left_child": "1 -1 9000"}, "a child beyond the nodes"),
        "leaf_beyond": ("plain", {"left_child": "1 -1 -9000"}, "a leaf beyond the leaves"),
        "children_short": ("plain", {"left_child": "1"}, "fewer children than nodes"),
        "feature_beyond": ("plain", {"split_feature": "0 1 400"}, "a feature beyond the last"),
        "feature_negative": ("plain", {"split_feature": "0 1 -7"}, "a feature below 0"),
        "leaves_more": ("plain", {"num_leaves": "40"}, "more leaves than values"),
        "linear_feature_beyond": ("linear", {"leaf_features": "0   1 900  3 "}, "a leaf's equation has a feature beyond the last"),
        "linear_counts_beyond": ("linear", {"num_features": "1 0 2 900"}, "a leaf's equation has more features than are told"),
        "linear_constant_missing": ("linear", {"leaf_const": "0.1"}, "fewer equations than leaves"),
    }
    for name, (kind, changes, what) in trees.items():
        for version in ("2.2", "4.6") if kind == "categorical" else ("4.6",):
            good, bad = light.tree(version, kind), light.tree(version, kind, **changes)
            family.hostile(f"lightgbm_{name}_v{version[0]}.txt", f"LightGBM: {what}", light.model(version, [good, bad]), REFERENCE)
    good = light.tree("4.6")
    family.hostile("lightgbm_sizes_beyond.txt", "LightGBM: a tree is longer than the file", light.model("4.6", [good, good], f"{len(good) + 9} 400000000"), REFERENCE)
    family.hostile("lightgbm_sizes_negative.txt", "LightGBM: a tree's length below 0", light.model("4.6", [good, good], f"{len(good) + 9} -8"), REFERENCE)
    family.hostile("lightgbm_trees_per_iteration_zero.txt", "LightGBM: no tree in an iteration, by which the trees are divided", light.model("4.6", [good], num_tree_per_iteration="0"), REFERENCE)
    family.hostile("lightgbm_trees_per_iteration_more.txt", "LightGBM: more trees in an iteration than there are", light.model("4.6", [good], num_tree_per_iteration="900", num_class="900"), REFERENCE)
    family.hostile("lightgbm_classes_negative.txt", "LightGBM: a number of classes below 0", light.model("4.6", [good], num_class="-1"), REFERENCE)


Change = Callable[[dict, dict], object]
CHANGES: dict[str, tuple[str, Change]] = {
    "child_beyond": ("a child beyond the nodes", lambda tree, model: tree["left_children"].__setitem__(0, 9000)),
    "child_negative": ("a child below -1", lambda tree, model: tree["right_children"].__setitem__(0, -500)),
    "cycle": ("a node below itself", lambda tree, model: (tree["left_children"].__setitem__(1, 0), tree["right_children"].__setitem__(1, 2))),
    "cycle_itself": ("a node that is its own child", lambda tree, model: tree["left_children"].__setitem__(0, 0)),
    "feature_beyond": ("a feature beyond the last", lambda tree, model: tree["split_indices"].__setitem__(0, 4000)),
    "feature_negative": ("a feature below 0", lambda tree, model: tree["split_indices"].__setitem__(0, -3)),
    "segment_beyond": ("a set of categories begins beyond the list", lambda tree, model: tree["categories_segments"].__setitem__(0, 4000)),
    "size_beyond": ("a set of categories is longer than the list", lambda tree, model: tree["categories_sizes"].__setitem__(0, 4000)),
    "node_beyond": ("a set of categories belongs to no node", lambda tree, model: tree["categories_nodes"].__setitem__(0, 4000)),
    "category_negative": ("a category below 0", lambda tree, model: tree["categories"].__setitem__(0, -5)),
    "category_huge": ("a category whose bit lies a quarter of a gigabyte away", lambda tree, model: tree["categories"].__setitem__(0, 2**31 - 1)),
    "group_beyond": ("a tree of an output that is not there", lambda tree, model: model["tree_info"].__setitem__(0, 4000)),
    "group_negative": ("a tree of an output below 0", lambda tree, model: model["tree_info"].__setitem__(0, -4)),
    "iteration_beyond": ("an iteration that ends beyond the trees", lambda tree, model: model["iteration_indptr"].__setitem__(1, 4000)),
    "values_short": ("fewer thresholds than nodes", lambda tree, model: tree["split_conditions"].pop()),
    "nodes_more": ("more nodes told than there are", lambda tree, model: tree["tree_param"].__setitem__("num_nodes", "4000")),
}


def trained() -> dict[str, object]:
    """A booster with a categorical split in its first node, as XGBoost writes it."""
    random = np.random.default_rng(4)
    city = random.integers(0, 6, 80)
    frame = pd.DataFrame({"income": random.normal(size=80), "city": pd.Categorical(city)})
    data = xgboost.DMatrix(frame, label=city % 2, enable_categorical=True)
    booster = xgboost.train({"max_depth": 2, "max_cat_to_onehot": 1, "objective": "binary:logistic", "nthread": 1}, data, 2)
    return json.loads(booster.save_raw("json"))


def _xgboost(family: Family) -> None:
    """XGBoost's JSON and UBJSON."""
    whole = trained()
    for name, (what, change) in CHANGES.items():
        changed = copy.deepcopy(whole)
        model = changed["learner"]["gradient_booster"]["model"]
        change(model["trees"][0], model)
        family.hostile(f"xgboost_{name}.json", f"XGBoost: {what}", json.dumps(changed, separators=(",", ":")).encode(), REFERENCE)
        family.hostile(f"xgboost_{name}.ubj", f"XGBoost: {what}", ubjson(changed), REFERENCE)
    source = "XGBoost, and an own writer of UBJSON"
    family.benign("xgboost_unchanged.json", "the same booster, unchanged", json.dumps(whole, separators=(",", ":")).encode(), source)
    family.benign("xgboost_unchanged.ubj", "the same booster, unchanged", ubjson(whole), source)


# The lists of one type of number, by its letter; and how the letters pack numbers.
TYPED = {
    **dict.fromkeys(("base_weights", "loss_changes", "split_conditions", "sum_hessian"), "d"),
    **dict.fromkeys(("categories", "categories_nodes", "feature_segments", "left_children", "offsets", "parents", "right_children", "sorted_idx", "split_indices"), "l"),
    **dict.fromkeys(("categories_segments", "categories_sizes", "values"), "L"),
    **dict.fromkeys(("default_left", "split_type"), "U"),
}
CODES = {"d": "f", "l": "i", "L": "q", "U": "B", "i": "b", "I": "h"}


def ubjson(item: object, key: str = "") -> bytes:
    """UBJSON as XGBoost writes it."""
    if isinstance(item, dict):
        return b"{" + b"".join(_length(name) + name.encode() + ubjson(part, name) for name, part in item.items()) + b"}"
    if isinstance(item, str):
        return b"S" + _length(item) + item.encode()
    if isinstance(item, list) and key in TYPED:
        kind = "i" if key == "values" and not item else TYPED[key]
        return b"[$" + kind.encode() + b"#" + _length(item) + struct.pack(f">{len(item)}{CODES[kind]}", *item)
    if isinstance(item, list):
        return b"[#" + _length(item) + b"".join(ubjson(part) for part in item)
    if isinstance(item, int):
        kind = "i" if -128 <= item < 128 else "I" if -32768 <= item < 32768 else "l"
        return kind.encode() + struct.pack(">" + CODES[kind], item)
    raise TypeError(f"no UBJSON for `{type(item).__name__}`")


def _length(item: str | list[object]) -> bytes:
    """A length."""
    return b"L" + struct.pack(">q", len(item))


class Rebuilt:
    """Pickles as what another object pickles as, with another state."""

    def __init__(self, item: object, state: object) -> None:
        function, arguments = item.__reduce__()[:2]
        self.parts = (function, arguments, state)

    def __reduce__(self) -> tuple[object, ...]:
        return self.parts


def _sklearn(family: Family) -> None:
    """Trees of scikit-learn whose arrays name places that are not there."""
    random = np.random.default_rng(9)
    x = random.normal(size=(60, 3))
    y = (x[:, 0] > 0.2).astype(int) + (x[:, 1] > 0.5)
    for name, field, place in (("left_beyond", "left_child", 5000), ("right_beyond", "right_child", 5000), ("left_negative", "left_child", -77), ("cycle", "left_child", 0), ("feature_beyond", "feature", 5000), ("feature_negative", "feature", -77)):
        model = DecisionTreeClassifier(max_depth=3, random_state=0).fit(x, y)
        state = model.tree_.__getstate__()
        state["nodes"][field][0] = place
        model.tree_ = Rebuilt(model.tree_, state)
        family.hostile(f"sklearn_tree_{name}.pkl", f"a decision tree: {name}", pickle.dumps(model), REFERENCE)
    model = DecisionTreeClassifier(max_depth=3, random_state=0).fit(x, y)
    state = model.tree_.__getstate__()
    model.tree_ = Rebuilt(model.tree_, {**state, "node_count": 5000})
    family.hostile("sklearn_tree_count.pkl", "a decision tree that tells more nodes than it has", pickle.dumps(model), REFERENCE)
    for name, field, place in (("left_beyond", "left", 5000), ("right_beyond", "right", 5000), ("cycle", "left", 0), ("feature_negative", "feature_idx", -77)):
        model = HistGradientBoostingClassifier(max_iter=1, min_samples_leaf=5, random_state=0).fit(x, y)
        model._predictors[0][0].nodes[field][0] = place
        family.hostile(f"sklearn_histogram_{name}.pkl", f"a tree of histograms: {name}", pickle.dumps(model), REFERENCE)
    model = HistGradientBoostingClassifier(max_iter=1, min_samples_leaf=5, random_state=0).fit(x, y)
    model._predictors[0][0].nodes["is_categorical"][0] = 1
    model._predictors[0][0].nodes["bitset_idx"][0] = 5000
    family.hostile("sklearn_histogram_bits_beyond.pkl", "a tree of histograms: a categorical split whose set is not there", pickle.dumps(model), REFERENCE)
    for kind in (KDTree, BallTree):
        model = kind(x, leaf_size=10)
        # The last node is a leaf.
        changes = {
            "point_beyond": (1, 0, None, 5_000_000),
            "point_negative": (1, 0, None, -77),
            "start_negative": (2, -1, "idx_start", -5_000_000),
            "end_beyond": (2, -1, "idx_end", 5_000_000),
            "children_beyond": (2, -1, "is_leaf", 0),
        }
        for name, (slot, index, field, place) in changes.items():
            state = list(copy.deepcopy(model.__getstate__()))
            array = state[slot] if field is None else state[slot][field]
            array[index] = place
            family.hostile(f"sklearn_{kind.__name__}_{name}.pkl", f"a {kind.__name__}: {name}", pickle.dumps(Rebuilt(model, tuple(state))), REFERENCE)
