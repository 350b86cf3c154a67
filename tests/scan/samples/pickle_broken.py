"""Pickles without PROTO that import, and then break, end or go on as text: what ran before the breakage has run. Bare, within
archives, and behind a first literal of more than a mebibyte."""

import gzip

from . import assembler as a
from .corpus import COMMAND, Family, Sample, tar_bytes, zip_bytes
from .pickle_tricks import CALL

REFERENCE = "ATLAS AML.T0076"
ARGUMENT = a.short_text(COMMAND) + a.TUPLE1 + a.REDUCE
# `timeit.timeit` runs the text that it is given, and both of its names are the same.
TIMEIT = a.short_text("print('custody-sample')") + a.TUPLE1 + a.REDUCE

HEADS = {
    "global": a.global_("os", "system") + a.text(COMMAND) + a.TUPLE1 + a.REDUCE,
    "inst": a.MARK + a.text_line(COMMAND) + a.inst("os", "system"),
    "dup": a.short_text("timeit") + a.DUP + a.STACK_GLOBAL + TIMEIT,
    "memoize": a.short_text("timeit") + a.MEMOIZE + a.get(0) + a.STACK_GLOBAL + TIMEIT,
    "binget": a.short_text("system") + a.put(3) + a.POP + a.short_text("posix") + a.put(1) + a.get(3) + a.STACK_GLOBAL + ARGUMENT,
    "ext": a.ext1(65) + a.EMPTY_TUPLE + a.REDUCE,
    "foreign": a.global_("custody_unheard_of", "load") + a.EMPTY_TUPLE + a.REDUCE,
}
ENDINGS = {
    "opcode": b"\xff\xfe\x01",
    "end": b"",
    "text": b"\n# A model card\n\nTrained on ten thousand loans.\n",
}
NAMES = ("pkl", "bin", "pt", "dat", "model", "ckpt")


def samples() -> list[Sample]:
    """The broken ones, then the long literals."""
    family = Family("pickle-broken")
    _broken(family)
    _long(family)
    return family.samples


def _broken(family: Family) -> None:
    """Each head with each ending, the name goes round; then each head within each container, the ending goes round."""
    number = 0
    for head, code in HEADS.items():
        for ending, tail in ENDINGS.items():
            family.hostile(f"{head}_{ending}.{NAMES[number % len(NAMES)]}", f"no PROTO, imports by {head}, then {ending}", code + tail, REFERENCE)
            number += 1
    endings = list(ENDINGS.items())
    for number, (head, code) in enumerate(HEADS.items()):
        for step, (kind, pack) in enumerate(CONTAINERS.items()):
            ending, tail = endings[(number + step) % len(endings)]
            family.hostile(f"{head}_{ending}.{kind}", f"no PROTO, imports by {head}, then {ending}, within {kind}", pack(code + tail), REFERENCE)


CONTAINERS = {
    "zip": lambda raw: zip_bytes([("notes.txt", b"a model\n"), ("weights.bin", raw)]),
    "tar": lambda raw: tar_bytes([("notes.txt", b"a model\n"), ("weights.bin", raw)]),
    "gz": lambda raw: gzip.compress(raw, mtime=0),
}


def _long(family: Family) -> None:
    """A literal of more than a mebibyte stands before the call."""
    size = 1_200_000
    literals = {
        "unicode_line": a.text_line("x" * size),
        "string_line": a.string_line("x" * size),
        "float_line": a.float_line("1." + "0" * size),
        "binunicode": a.text("x" * size),
        "binbytes": a.data(b"\xff" * size),
        "binstring": a.bin_string(b"x" * size),
        "long4": b"\x8b" + size.to_bytes(4, "little") + b"\x7f" * size,
    }
    for number, (name, code) in enumerate(literals.items()):
        family.hostile(f"long_{name}.pkl", f"a {name} of more than a mebibyte before the call", a.proto(2) + code + a.POP + CALL + a.STOP)
        family.hostile(f"long_{name}_no_proto.{NAMES[number % len(NAMES)]}", f"the same without PROTO, and broken after the call ({name})", code + a.POP + CALL + b"\xff", REFERENCE)
