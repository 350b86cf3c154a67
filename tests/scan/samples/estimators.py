"""Fitted scikit-learn estimators of every family, small and seeded."""

import numpy as np
import pandas as pd
from sklearn import (
    calibration,
    cluster,
    compose,
    covariance,
    cross_decomposition,
    decomposition,
    discriminant_analysis,
    dummy,
    ensemble,
    feature_extraction,
    feature_selection,
    gaussian_process,
    impute,
    isotonic,
    kernel_approximation,
    kernel_ridge,
    linear_model,
    manifold,
    mixture,
    model_selection,
    multiclass,
    multioutput,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    random_projection,
    semi_supervised,
    svm,
    tree,
)
from sklearn.gaussian_process import kernels

TEXTS = ["os system eval exec", "import subprocess and run", "builtins getattr pickle loads", "a loan of ten thousand"] * 5


def fitted() -> dict[str, object]:
    """Name and fitted estimator."""
    random = np.random.default_rng(7)
    x = random.normal(size=(40, 4))
    y = (x[:, 0] + 0.3 * x[:, 1] > 0).astype(int)
    z = x @ np.array([1.0, -2.0, 0.5, 0.0]) + 0.1
    return {**_linear(x, y, z), **_trees(x, y, z), **_others(x, y, z), **_unsupervised(x, y), **_preparation(x, y), **_compound(x, y, z)}


def _linear(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> dict[str, object]:
    return {
        "LinearRegression": linear_model.LinearRegression().fit(x, z),
        "LogisticRegression": linear_model.LogisticRegression().fit(x, y),
        "LogisticRegressionCV": linear_model.LogisticRegressionCV(cv=2, max_iter=50, l1_ratios=(0.0,), use_legacy_attributes=False).fit(x, y),
        "Ridge": linear_model.Ridge().fit(x, z),
        "LassoCV": linear_model.LassoCV(cv=3).fit(x, z),
        "ElasticNet": linear_model.ElasticNet().fit(x, z),
        "SGDClassifier": linear_model.SGDClassifier(random_state=0).fit(x, y),
        "HuberRegressor": linear_model.HuberRegressor().fit(x, z),
        "RANSACRegressor": linear_model.RANSACRegressor(random_state=0).fit(x, z),
        "BayesianRidge": linear_model.BayesianRidge().fit(x, z),
        "PoissonRegressor": linear_model.PoissonRegressor().fit(x, np.abs(z)),
        "QuantileRegressor": linear_model.QuantileRegressor().fit(x, z),
        "LinearDiscriminantAnalysis": discriminant_analysis.LinearDiscriminantAnalysis().fit(x, y),
        "QuadraticDiscriminantAnalysis": discriminant_analysis.QuadraticDiscriminantAnalysis().fit(x, y),
        "PLSRegression": cross_decomposition.PLSRegression().fit(x, z),
        "KernelRidge": kernel_ridge.KernelRidge().fit(x, z),
    }


def _trees(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> dict[str, object]:
    return {
        "DecisionTreeClassifier": tree.DecisionTreeClassifier(random_state=0).fit(x, y),
        "ExtraTreeRegressor": tree.ExtraTreeRegressor(random_state=0).fit(x, z),
        "RandomForestClassifier": ensemble.RandomForestClassifier(5, random_state=0).fit(x, y),
        "RandomForestRegressor": ensemble.RandomForestRegressor(5, random_state=np.random.RandomState(3)).fit(x, z),
        "ExtraTreesClassifier": ensemble.ExtraTreesClassifier(5, random_state=0).fit(x, y),
        "GradientBoostingClassifier": ensemble.GradientBoostingClassifier(n_estimators=5, random_state=0).fit(x, y),
        "GradientBoostingRegressor": ensemble.GradientBoostingRegressor(n_estimators=5, random_state=0).fit(x, z),
        "HistGradientBoostingClassifier": ensemble.HistGradientBoostingClassifier(max_iter=5, random_state=0).fit(x, y),
        "HistGradientBoostingRegressor": ensemble.HistGradientBoostingRegressor(max_iter=5, random_state=0, loss="quantile", quantile=0.5).fit(x, z),
        "AdaBoostClassifier": ensemble.AdaBoostClassifier(n_estimators=5, random_state=0).fit(x, y),
        "BaggingClassifier": ensemble.BaggingClassifier(n_estimators=3, random_state=0).fit(x, y),
        "IsolationForest": ensemble.IsolationForest(n_estimators=5, random_state=0).fit(x),
    }


def _others(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> dict[str, object]:
    kernel = kernels.ConstantKernel(1.0) * kernels.RBF(1.0) + kernels.WhiteKernel(0.1)
    return {
        "SVC": svm.SVC(probability=False).fit(x, y),
        "LinearSVC": svm.LinearSVC().fit(x, y),
        "SVR": svm.SVR().fit(x, z),
        "OneClassSVM": svm.OneClassSVM().fit(x),
        "KNeighborsKDTree": neighbors.KNeighborsClassifier(algorithm="kd_tree").fit(x, y),
        "KNeighborsBallTree": neighbors.KNeighborsRegressor(algorithm="ball_tree").fit(x, z),
        "KNeighborsBrute": neighbors.KNeighborsClassifier(algorithm="brute").fit(x, y),
        "KernelDensity": neighbors.KernelDensity().fit(x),
        "LocalOutlierFactor": neighbors.LocalOutlierFactor(novelty=True).fit(x),
        "NearestCentroid": neighbors.NearestCentroid().fit(x, y),
        "GaussianNB": naive_bayes.GaussianNB().fit(x, y),
        "MultinomialNB": naive_bayes.MultinomialNB().fit(np.abs(x), y),
        "BernoulliNB": naive_bayes.BernoulliNB().fit(x, y),
        "MLPClassifier": neural_network.MLPClassifier(hidden_layer_sizes=(4,), max_iter=500, random_state=0, tol=1e-2).fit(x, y),
        "MLPRegressor": neural_network.MLPRegressor(hidden_layer_sizes=(4,), max_iter=500, random_state=0, tol=1e-1).fit(x, z),
        "GaussianProcessRegressor": gaussian_process.GaussianProcessRegressor(kernel, random_state=0, optimizer=None).fit(x, z),
        "GaussianProcessClassifier": gaussian_process.GaussianProcessClassifier(kernels.Matern(nu=1.5) + kernels.DotProduct(), random_state=0, optimizer=None).fit(x, y),
        "IsotonicRegression": isotonic.IsotonicRegression().fit(x[:, 0], z),
        "DummyClassifier": dummy.DummyClassifier().fit(x, y),
        "LabelSpreading": semi_supervised.LabelSpreading().fit(x, y),
    }


def _unsupervised(x: np.ndarray, y: np.ndarray) -> dict[str, object]:
    return {
        "KMeans": cluster.KMeans(2, random_state=0, n_init=1).fit(x),
        "MiniBatchKMeans": cluster.MiniBatchKMeans(2, random_state=0, n_init=1).fit(x),
        "DBSCAN": cluster.DBSCAN().fit(x),
        "HDBSCAN": cluster.HDBSCAN(min_cluster_size=5, copy=True).fit(x),
        "AgglomerativeClustering": cluster.AgglomerativeClustering(2).fit(x),
        "Birch": cluster.Birch(n_clusters=2).fit(x),
        "MeanShift": cluster.MeanShift().fit(x),
        "SpectralClustering": cluster.SpectralClustering(2, random_state=0).fit(x),
        "GaussianMixture": mixture.GaussianMixture(2, random_state=0).fit(x),
        "BayesianGaussianMixture": mixture.BayesianGaussianMixture(n_components=2, random_state=0).fit(x),
        "PCA": decomposition.PCA(2).fit(x),
        "TruncatedSVD": decomposition.TruncatedSVD(2, random_state=0).fit(x),
        "NMF": decomposition.NMF(2, random_state=0, init="random", max_iter=1000).fit(np.abs(x)),
        "FastICA": decomposition.FastICA(2, random_state=0, tol=0.1).fit(x),
        "KernelPCA": decomposition.KernelPCA(2).fit(x),
        "LatentDirichletAllocation": decomposition.LatentDirichletAllocation(2, random_state=0).fit(np.abs(x)),
        "Isomap": manifold.Isomap().fit(x),
        "EmpiricalCovariance": covariance.EmpiricalCovariance().fit(x),
        "EllipticEnvelope": covariance.EllipticEnvelope(random_state=0).fit(x),
        "GaussianRandomProjection": random_projection.GaussianRandomProjection(2, random_state=0).fit(x),
        "Nystroem": kernel_approximation.Nystroem(n_components=5, random_state=0).fit(x),
    }


def _preparation(x: np.ndarray, y: np.ndarray) -> dict[str, object]:
    words = np.array([["a", "x"], ["b", "y"], ["a", "z"]] * 10, dtype=object)
    holes = x.copy()
    holes[::3, 1] = np.nan
    return {
        "StandardScaler": preprocessing.StandardScaler().fit(x),
        "MinMaxScaler": preprocessing.MinMaxScaler().fit(x),
        "RobustScaler": preprocessing.RobustScaler().fit(x),
        "QuantileTransformer": preprocessing.QuantileTransformer(n_quantiles=10, random_state=0).fit(x),
        "PowerTransformer": preprocessing.PowerTransformer().fit(x),
        "PolynomialFeatures": preprocessing.PolynomialFeatures().fit(x),
        "SplineTransformer": preprocessing.SplineTransformer().fit(x),
        "KBinsDiscretizer": preprocessing.KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf").fit(x),
        "OneHotEncoder": preprocessing.OneHotEncoder(handle_unknown="ignore").fit(words),
        "OrdinalEncoder": preprocessing.OrdinalEncoder().fit(words),
        "TargetEncoder": preprocessing.TargetEncoder(cv=2, random_state=0).fit(words, np.arange(30) % 2),
        "LabelEncoder": preprocessing.LabelEncoder().fit(["os", "system", "eval"]),
        "LabelBinarizer": preprocessing.LabelBinarizer().fit([1, 2, 3]),
        "FunctionTransformerLog1p": preprocessing.FunctionTransformer(np.log1p).fit(np.abs(x)),
        "SimpleImputer": impute.SimpleImputer().fit(holes),
        "KNNImputer": impute.KNNImputer().fit(holes),
        "MissingIndicator": impute.MissingIndicator().fit(holes),
        "TfidfVectorizer": feature_extraction.text.TfidfVectorizer().fit(TEXTS),
        "CountVectorizer": feature_extraction.text.CountVectorizer(ngram_range=(1, 2), stop_words="english").fit(TEXTS),
        "HashingVectorizer": feature_extraction.text.HashingVectorizer(n_features=16).fit(TEXTS),
        "DictVectorizer": feature_extraction.DictVectorizer().fit([{"os.system": 1, "eval": 2}]),
        "SelectKBest": feature_selection.SelectKBest(feature_selection.f_classif, k=2).fit(x, y),
        "RFE": feature_selection.RFE(linear_model.LogisticRegression(), n_features_to_select=2).fit(x, y),
        "VarianceThreshold": feature_selection.VarianceThreshold().fit(x),
    }


def _compound(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> dict[str, object]:
    frame = pd.DataFrame({"income": x[:, 0], "age": x[:, 1], "city": ["a", "b"] * 20})
    logistic = linear_model.LogisticRegression()
    columns = compose.ColumnTransformer([("n", preprocessing.StandardScaler(), ["income", "age"]), ("c", preprocessing.OneHotEncoder(), ["city"])], remainder="passthrough")
    texts = pipeline.make_pipeline(feature_extraction.text.TfidfVectorizer(), linear_model.LogisticRegression())
    union = pipeline.make_union(preprocessing.StandardScaler(), decomposition.PCA(2))
    pairs = [("a", logistic), ("b", tree.DecisionTreeClassifier(random_state=0))]
    return {
        "PipelineColumns": pipeline.make_pipeline(columns, linear_model.LogisticRegression()).fit(frame, y),
        "PipelineText": texts.fit(TEXTS, [0, 1, 1, 0] * 5),
        "PipelineUnion": pipeline.make_pipeline(union, svm.SVC()).fit(x, y),
        "ColumnSelector": compose.make_column_transformer((preprocessing.StandardScaler(), compose.make_column_selector(dtype_include=float))).fit(frame),
        "TransformedTarget": compose.TransformedTargetRegressor(linear_model.LinearRegression(), func=np.log1p, inverse_func=np.expm1).fit(x, np.abs(z)),
        "GridSearchCV": model_selection.GridSearchCV(svm.SVC(), {"C": [0.1, 1]}, cv=2).fit(x, y),
        "RandomizedSearchCV": model_selection.RandomizedSearchCV(linear_model.Ridge(), {"alpha": [0.1, 1, 10]}, n_iter=2, cv=2, random_state=0).fit(x, z),
        "CalibratedClassifierCV": calibration.CalibratedClassifierCV(svm.LinearSVC(), cv=2).fit(x, y),
        "CalibratedIsotonic": calibration.CalibratedClassifierCV(naive_bayes.GaussianNB(), method="isotonic", cv=2).fit(x, y),
        "VotingClassifier": ensemble.VotingClassifier(pairs).fit(x, y),
        "StackingClassifier": ensemble.StackingClassifier(pairs, cv=2).fit(x, y),
        "OneVsRest": multiclass.OneVsRestClassifier(logistic).fit(x, np.arange(40) % 3),
        "MultiOutput": multioutput.MultiOutputRegressor(linear_model.Ridge()).fit(x, np.c_[z, z]),
    }
