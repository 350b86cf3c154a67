"""Writes LightGBM's text format as its versions 2 to 4 do."""

# Of each version: the format's number, whether leaves and nodes have weights, what precedes the importances.
VERSIONS = {
    "2.2": ("v2", False, False, "feature importances:"),
    "2.3": ("v3", True, False, "feature importances:"),
    "3.0": ("v3", True, False, "feature_importances:"),
    "3.3": ("v3", True, True, "feature_importances:"),
    "4.6": ("v4", True, True, "feature_importances:"),
}
PARAMETERS = "[boosting: gbdt]\n[objective: regression]\n[num_iterations: 2]\n[learning_rate: 0.1]\n[data: ]\n[output_model: LightGBM_model.txt]\n"

# Three splits and four leaves over the features 0 to 2; children below 0 are leaves.
SPLITS = {"num_leaves": "4", "num_cat": "0", "split_feature": "0 1 2", "split_gain": "359.902 18.2421 6.77616", "threshold": "-0.063938347610539306 0.32755304072656849 1.0000000180025095e-35", "decision_type": "2 2 2", "left_child": "1 -1 -2", "right_child": "2 -3 -4"}
# The third split is over the first two bits of the categories of feature 3.
CATEGORICAL = {"num_cat": "1", "split_feature": "0 1 3", "threshold": "-0.063938347610539306 0.32755304072656849 0", "decision_type": "2 2 1"}
SETS = {"cat_boundaries": "0 1", "cat_threshold": "1174"}
LINEAR = {"is_linear": "1", "leaf_const": "0.1 0.2 0.3 0.4", "num_features": "1 0 2 1", "leaf_features": "0   1 2  3 ", "leaf_coeff": "0.5   0.25 0.125  0.75 "}
CONSTANT = {**dict.fromkeys(SPLITS, ""), "num_leaves": "1", "num_cat": "0", "leaf_value": "1", "leaf_weight": "", "leaf_count": "", "internal_value": "", "internal_weight": "", "internal_count": ""}


def tree(version: str, kind: str = "plain", **changes: str | None) -> str:
    """The fields of a tree in their order; a change of None leaves a field out."""
    _, weights, linear, _ = VERSIONS[version]
    fields = dict(SPLITS)
    if kind == "categorical":
        fields |= CATEGORICAL
    fields["leaf_value"] = "-0.18126450915908232 0.12720194756658479 0.20303649002428742 -0.083710506181910296"
    if weights:
        fields["leaf_weight"] = "51.999 1.249 47.999 8.249"
    fields["leaf_count"] = "208 51 192 49"
    fields["internal_value"] = "0.008 0.171681 -0.167906"
    if weights:
        fields["internal_weight"] = "124.998 64.749 60.249"
    fields["internal_count"] = "500 400 100"
    if kind == "constant":
        fields = {key: text for key, text in CONSTANT.items() if weights or not key.endswith("weight")}
    if kind == "categorical":
        fields |= SETS
    if linear:
        fields["is_linear"] = "0"
    if kind == "linear":
        fields |= LINEAR
    fields["shrinkage"] = "0.1"
    fields |= {key: text for key, text in changes.items() if text is not None}
    return "".join(f"{key}={text}\n" for key, text in fields.items() if changes.get(key, "") is not None)


def model(version: str, trees: list[str], sizes: str | None = None, **changes: str) -> bytes:
    """The whole file; the sizes of the trees are told truly unless given."""
    number, _, _, importances = VERSIONS[version]
    blocks = [f"Tree={count}\n{text}\n\n" for count, text in enumerate(trees)]
    head = {
        "version": number,
        "num_class": "1",
        "num_tree_per_iteration": "1",
        "label_index": "0",
        "max_feature_idx": "3",
        "objective": "regression",
        "feature_names": "income age term city",
        "feature_infos": f"[-2.93:2.69] [-2.99:2.48] [-3.89:2.84] {'-1:0:1:5:4' if number == 'v4' else '1:0:5:4'}",
        "tree_sizes": " ".join(str(len(block)) for block in blocks) if sizes is None else sizes,
        **changes,
    }
    lines = "".join(f"{key}={text}\n" for key, text in head.items())
    tail = f"end of trees\n\n{importances}\nincome=2\nage=1\n\nparameters:\n{PARAMETERS}\nend of parameters\n\npandas_categorical:null\n"
    return f"tree\n{lines}\n{''.join(blocks)}{tail}".encode()
