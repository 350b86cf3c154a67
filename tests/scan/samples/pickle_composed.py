"""Pickles whose every name is harmless by itself: classes that a library only passes on, factories that a mapping calls, methods
that are made by `getattr`, types whose sizes lie. And objects of ordinary programs that look alike and harm nobody."""

import collections
import functools
import http
import logging
import operator
import pickle

import numpy as np

from . import assembler as a
from .corpus import CODE, COMMAND, MARKER, Family, Sample
from .pickle_tricks import SYSTEM

REFERENCE = "CWE-502"


def samples() -> list[Sample]:
    """The hostile parts, then the benign ones."""
    family = Family("pickle-composed")
    for part in (_passed_on, _factories, _types, _benign, _graphs):
        part(family)
    return family.samples


def _passed_on(family: Family) -> None:
    """Classes of elsewhere, under the name of a module of a known library that imports them."""
    put = family.hostile
    bound = (a.Raw(SYSTEM), COMMAND)
    for module, name, arguments in (
        ("scipy.special._precompute.expn_asy", "Poly", (CODE, "x")),
        ("sklearn.utils._available_if", "MethodType", bound),
        ("sklearn.datasets._openml", "TemporaryDirectory", (MARKER,)),
        ("sklearn.callback._transport", "Thread", (None, a.Raw(SYSTEM))),
        ("sklearn.callback._transport", "Connection", (1,)),
        ("joblib.pool", "Pool", (2, a.Raw(SYSTEM), (COMMAND,))),
        ("joblib._parallel_backends", "ThreadPool", (2, a.Raw(SYSTEM), (COMMAND,))),
        ("numpy.distutils.fcompiler.gnu", "Popen", (["true"],)),
        ("scipy._lib._util", "ModuleType", ("os",)),
    ):
        put(f"passed_on.{module}.{name}.pkl", f"{module} only passes {name} on", a.stream(a.call(module, name, arguments)), REFERENCE)
    put("passed_on_method_benign_function.pkl", "MethodType of scikit-learn binds a method of an object", a.stream(a.call("sklearn.utils._available_if", "MethodType", (a.Raw(a.global_("custody_unheard_of", "run")), 1))), REFERENCE)


def partial(function: bytes, state: bytes = b"") -> bytes:
    """functools.partial over a function; where another is given, a state puts it in the first one's place."""
    made = a.global_("functools", "partial") + function + a.TUPLE1 + a.REDUCE
    if not state:
        return made
    return made + a.MARK + state + a.EMPTY_TUPLE + a.EMPTY_DICT + a.NONE + a.TUPLE + a.BUILD


def mapped(factory: bytes) -> bytes:
    """A dictionary made of a ChainMap, whose first mapping lacks a key and so calls its factory."""
    first = a.Raw(a.global_("collections", "defaultdict") + factory + a.TUPLE1 + a.REDUCE)
    chain = a.Raw(a.call("collections", "ChainMap", (first, {"weights": 1})))
    return a.stream(a.call("builtins", "dict", (chain,)))


def method(owner: bytes, name: str) -> bytes:
    """A method of an object, as Python's pickle writes bound methods."""
    return a.call("builtins", "getattr", (a.Raw(owner), name))


def _factories(family: Family) -> None:
    """What a mapping calls for a key that it lacks."""
    put = family.hostile
    zeros, foreign = a.global_("numpy", "zeros"), a.global_("custody_unheard_of", "run")
    path = a.call("pathlib", "PosixPath", (MARKER,))
    methods = {
        "touch": method(path, "touch"),
        "unlink": method(path, "unlink"),
        "read": method(path, "read_bytes"),
        "popen": method(a.call("subprocess", "Popen", (["true"],)), "wait"),
        "subclasses": method(a.global_("builtins", "object"), "__subclasses__"),
        "globals": method(method(a.global_("collections", "OrderedDict"), "__init__"), "__globals__"),
    }
    for name, code in methods.items():
        put(f"factory_method_{name}.pkl", f"the factory of a defaultdict is a method made by getattr: {name}", a.stream(a.global_("collections", "defaultdict") + code + a.TUPLE1 + a.REDUCE), REFERENCE)
        put(f"chain_method_{name}.pkl", f"a dictionary of a ChainMap calls a method made by getattr: {name}", mapped(code), REFERENCE)
    for name, code in {"system": SYSTEM, "foreign": foreign, "method": methods["touch"]}.items():
        put(f"chain_partial_{name}.pkl", f"the factory is a partial over {name}", mapped(partial(code)), REFERENCE)
        put(f"chain_partial_state_{name}.pkl", f"the factory is a partial over numpy.zeros, whose state puts {name} in its place", mapped(partial(zeros, code)), REFERENCE)
    put("chain_partial_nested.pkl", "the factory is a partial over a partial, whose state is a sink", mapped(partial(partial(zeros, SYSTEM))), REFERENCE)
    put("chain_factory_later.pkl", "the factory is set by the state of the defaultdict's partial after the ChainMap is made", a.stream(partial(zeros) + a.put(1) + a.POP + a.get(1) + a.MARK + SYSTEM + a.value((COMMAND,)) + a.EMPTY_DICT + a.NONE + a.TUPLE + a.BUILD + a.POP + mapped(a.get(1))[2:-1]), REFERENCE)


def dtype(code: str, state: tuple[object, ...]) -> a.Raw:
    """A NumPy type with its state."""
    return a.Raw(a.call("numpy", "dtype", (code, False, True), 3) + a.value(state, 3) + a.BUILD)


def array(kind: a.Raw, raw: bytes, count: int = 1) -> bytes:
    """An array of that type over those bytes."""
    empty = a.call("numpy._core.multiarray", "_reconstruct", (a.Raw(a.global_("numpy", "ndarray")), (0,), b"b"), 3)
    return a.stream(empty + a.value((1, (count,), kind, False, raw), 3) + a.BUILD, 3)


def _types(family: Family) -> None:
    """Types of NumPy whose state tells sizes and places that are not theirs: their arrays reach memory of others."""
    put = family.hostile
    reference = "CWE-125"
    double = dtype("f8", (3, "<", None, None, None, -1, -1, 0))
    pointer = dtype("O8", (3, "|", None, None, None, -1, -1, 63))
    states = {
        "field_beyond": (3, "|", None, ("a",), {"a": (double, 4096)}, 8, 1, 0),
        "field_before": (3, "|", None, ("a",), {"a": (double, -4096)}, 8, 1, 0),
        "field_straddles": (3, "|", None, ("a",), {"a": (double, 4)}, 8, 1, 0),
        "pointer_flags": (3, "|", None, ("a",), {"a": (pointer, 0)}, 8, 1, 0),
        "nested": (3, "|", None, ("a",), {"a": (dtype("V8", (3, "|", None, ("b",), {"b": (double, 4096)}, 8, 1, 0)), 0)}, 8, 1, 0),
        "subarray": (3, "|", (double, (1000,)), None, None, 8, 1, 0),
    }
    for name, state in states.items():
        put(f"dtype_{name}.pkl", f"an array whose type lies: {name.replace('_', ' ')}", array(dtype("V8", state), b"A" * 8), reference)


def _benign(family: Family) -> None:
    """Objects of ordinary programs."""
    source = "Python's pickle"
    objects: dict[str, tuple[object, str]] = {
        "loggers": ([logging.getLogger("custody.sample"), logging.getLogger()], "loggers, by name"),
        "statuses": ([http.HTTPStatus.OK, http.HTTPMethod.GET], "members of enumerations of the standard library"),
        "counter_100000": (collections.Counter({f"word{n}": n for n in range(100_000)}), "a Counter of 100,000 entries"),
        "dict_100000": ({n: f"word{n}" for n in range(100_000)}, "a dictionary of 100,000 entries"),
        "factory_zeros": (collections.defaultdict(functools.partial(np.zeros, 3), {"a": np.ones(3)}), "a defaultdict over partial(numpy.zeros)"),
        "factory_nested": (collections.defaultdict(functools.partial(collections.defaultdict, int), {"a": collections.defaultdict(int, b=1)}), "a defaultdict of defaultdicts"),
        "attrgetter": ([operator.attrgetter("name"), operator.attrgetter("a.b", "c")], "operator.attrgetter"),
        "functions": ([print, len, sum, max, sorted, abs], "functions of builtins, named and not called"),
    }
    for name, (item, what) in objects.items():
        for version in (2, 5):
            family.benign(f"{name}.p{version}.pkl", f"{what}, protocol {version}", pickle.dumps(item, version), source)


VIEWS = {
    "Graph": {"nodes": "NodeView", "edges": "EdgeView", "degree": "DegreeView", "adj": "AdjacencyView"},
    "DiGraph": {"nodes": "NodeView", "edges": "OutEdgeView", "in_edges": "InEdgeView", "degree": "DiDegreeView", "in_degree": "InDegreeView", "out_degree": "OutDegreeView", "adj": "AdjacencyView", "pred": "AdjacencyView"},
    "MultiGraph": {"nodes": "NodeView", "edges": "MultiEdgeView", "degree": "MultiDegreeView", "adj": "MultiAdjacencyView"},
    "MultiDiGraph": {"nodes": "NodeView", "edges": "OutMultiEdgeView", "in_edges": "InMultiEdgeView", "degree": "DiMultiDegreeView", "in_degree": "InMultiDegreeView", "out_degree": "OutMultiDegreeView", "adj": "MultiAdjacencyView", "pred": "MultiAdjacencyView"},
}


def graph(name: str, used: bool, version: int) -> bytes:
    """A graph of networkx: its dictionaries, and once it was used also the views that it keeps."""
    data: dict[str, object] = {"w": 0.5}
    edge = {0: data} if name.startswith("Multi") else data
    module = f"networkx.classes.{name.lower()}"
    state: dict[str, object] = {"graph": {"name": "loans"}, "_node": {1: {"c": "x"}, 2: {}}, "_adj": {1: {2: edge}, 2: {} if "Di" in name else {1: edge}}}
    if "Di" in name:
        state |= {"_succ": state["_adj"], "_pred": {1: {}, 2: {1: edge}}}
    made = a.Raw(a.name(module, name, version) + a.EMPTY_TUPLE + a.NEWOBJ + a.put(0))
    cache = {key: _view(key, view, state, version) for key, view in VIEWS[name].items()} if used else {}
    return a.stream(made.code + a.value({**state, "__networkx_cache__": cache}, version) + a.BUILD, version)


def _view(key: str, name: str, state: dict[str, object], version: int) -> a.Raw:
    """A view of a graph, which stands in slot 0 of the memo."""
    before = state.get("_pred", state["_adj"])
    whole, adjacency = a.Raw(a.get(0)), before if key in ("in_edges", "pred") else state["_adj"]
    if name.endswith("NodeView"):
        inner: dict[str, object] = {"_nodes": state["_node"]}
    elif name.endswith("AdjacencyView"):
        inner = {"_atlas": adjacency}
    elif name.endswith("EdgeView"):
        inner = {"_graph": whole, "_adjdict": adjacency}
    else:
        inner = {"_graph": whole, "_succ": state["_adj"], "_pred": before, "_nodes": state["_adj"], "_weight": None}
    module = "networkx.classes.coreviews" if name.endswith("AdjacencyView") else "networkx.classes.reportviews"
    return a.Raw(a.name(module, name, version) + a.EMPTY_TUPLE + a.NEWOBJ + a.value(inner, version) + a.BUILD)


def _graphs(family: Family) -> None:
    """The four kinds of graphs, before and after their use."""
    for name in VIEWS:
        for used in (False, True):
            for version in (2, 4):
                family.benign(f"networkx_{name}_{'used' if used else 'new'}.p{version}.pkl", f"a {name} of networkx, {'after its use' if used else 'as made'}", graph(name, used, version), "own writer after networkx 3")
