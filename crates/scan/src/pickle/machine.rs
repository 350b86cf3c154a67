//! The pickle machine: reads a stream as CPython's loaders do and says what they would do.
//!
//! CPython has two loaders, in C (`Modules/_pickle.c`) and in Python (`Lib/pickle.py`), which differ in
//! corners: what one of them accepts is accepted here, so that whatever either would do is seen. Where a
//! value is wrong but its length is clear (a text that is not UTF-8, a number that is none), a loader
//! stops; the machine says [`Event::Malformed`] and reads on, so that it never sees less than they do.
//!
//! INVARIANT: the work for one opcode is bounded by the bytes that it takes from the stream, or by
//! values that earlier opcodes pushed and this one takes from the stack.

use crate::cursor::{Cursor, Line, Stop};
use crate::source::Source;

use super::compatible;
use super::literal;
use super::value::{Content, Heap, Kind, MAX_MEMO, MAX_TEXT, Memo, Value};

/// How many values the stack may hold.
const MAX_STACK: usize = 512 << 10;
/// How many marks may be open.
const MAX_MARKS: usize = 256 << 10;
/// How long a line is kept, in bytes.
const MAX_LINE: usize = 8192;
/// More values than this, counting shared ones each time, take a loader's memory or time.
const HEAVY: f32 = 1_073_741_824.0;
/// Deeper nesting than this breaks programs that walk the result.
const DEEP: u32 = 5000;
/// A memo number this far beyond what is used is no pickler's.
const FAR: u64 = 1 << 20;
const HIGHEST_PROTOCOL: u8 = 5;

/// Functions that make an instance of the class that is their first argument, besides those called `newObj`.
const MAKERS: [&str; 9] = [
    "copyreg:_reconstructor",
    "copyreg:__newobj__",
    "copyreg:__newobj_ex__",
    "numpy.core.multiarray:_reconstruct",
    "numpy._core.multiarray:_reconstruct",
    "pandas.core.indexes.base:_new_Index",
    "pandas.core.indexes.datetimes:_new_DatetimeIndex",
    "pandas.core.indexes.interval:_new_IntervalIndex",
    "pandas.core.indexes.period:_new_PeriodIndex",
];

/// Types that may be asked for by their name.
pub(super) const PLAIN_TYPES: [&str; 14] = [
    "NoneType",
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "object",
    "set",
    "slice",
    "tuple",
];

/// How something is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Reduce,
    New,
    Instantiate,
}

/// What a loader does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Event<'a> {
    /// It imports a module and takes a name of it.
    Global(u32),
    /// It takes something by number from `copyreg`'s registry.
    Extension(u32),
    /// It calls something.
    Call {
        how: How,
        callable: Value,
        arguments: Value,
    },
    /// It sets a state: calls `__setstate__` or sets attributes.
    Build { on: Value, state: Value },
    /// It appends to what should be a list.
    Append(Value),
    /// It sets items of what should be a dictionary.
    SetItem(Value),
    /// It adds to what should be a set.
    AddItem(Value),
    /// It asks its owner for an object.
    Persistent(Value),
    /// It stops here, or one of the loaders does: the stream is damaged.
    Malformed(&'a str),
    /// A value or a frame goes beyond the end of its frame: the loader in C then drops what lies before
    /// the end, or does not, by the kind of file that it reads; the one in Python stops.
    Straddles,
    /// The result takes far more room or depth than the stream.
    Heavy { weight: f32, depth: u32 },
    /// The bytes of an array, which another loader takes for opcodes, name something.
    Plain,
    /// The memo is asked to grow to this number at once: the loader in C makes room for all below.
    FarMemo(u64),
}

/// Hears what a loader would do, in order.
pub(crate) trait Observer {
    /// Hears one event; `at` is where the opcode begins.
    fn event(&mut self, heap: &Heap, at: u64, event: Event<'_>);
}

/// A closure that hears.
struct Closure<'c>(&'c mut dyn FnMut(&Heap, u64, Event<'_>));

impl Observer for Closure<'_> {
    fn event(&mut self, heap: &Heap, at: u64, event: Event<'_>) {
        (self.0)(heap, at, event);
    }
}

/// The state of a loader over one stream.
pub(crate) struct Machine<'s> {
    pub(crate) cursor: Cursor<'s>,
    pub(crate) heap: Heap,
    source: &'s dyn Source,
    stack: Vec<Value>,
    /// The stack's length at each mark: what lies below belongs to what was before the mark.
    marks: Vec<usize>,
    memo: Memo,
    protocol: u8,
    frame_end: u64,
    /// Where the opcode that is being read begins.
    at: u64,
    warned: bool,
    /// Whether array bytes follow the wrappers of joblib.
    arrays: bool,
    /// How many more opcodes are read.
    pub(crate) steps: u64,
    /// What the memo held before each change, where it is to be put back.
    undo: Option<Vec<(u64, Option<Value>)>>,
}

impl<'s> Machine<'s> {
    /// Starts at `start`.
    pub(crate) fn new(source: &'s dyn Source, start: u64) -> Self {
        Self {
            cursor: Cursor::range(source, start, source.len()),
            heap: Heap::default(),
            source,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Memo::default(),
            protocol: 0,
            frame_end: 0,
            at: start,
            warned: false,
            arrays: true,
            steps: u64::MAX,
            undo: None,
        }
    }

    /// Runs one stream to its `STOP` and returns what it made. The memo stays for a next run, as it does
    /// in an unpickler that is used again; [`Machine::new`] is what a fresh one does.
    pub(crate) fn run(&mut self, observer: &mut dyn Observer) -> Result<Value, Stop> {
        self.stack.clear();
        self.marks.clear();
        self.protocol = 0;
        self.frame_end = 0;
        self.go(observer)
    }

    /// Goes on from where it stands.
    fn go(&mut self, observer: &mut dyn Observer) -> Result<Value, Stop> {
        loop {
            self.at = self.cursor.at();
            if self.steps == 0 {
                return Err(Stop::limit("its opcodes", "those of a look", self.at));
            }
            self.steps -= 1;
            let Some(opcode) = self.cursor.byte()? else {
                return Err(Stop::Truncated {
                    what: "stream: it has no STOP",
                    at: self.at,
                });
            };
            if opcode == b'.' {
                return self.pop();
            }
            self.step(opcode, observer)?;
            if self.at < self.frame_end && self.frame_end < self.cursor.at() {
                observer.event(&self.heap, self.at, Event::Straddles);
                self.frame_end = 0;
            }
        }
    }

    fn step(&mut self, opcode: u8, observer: &mut dyn Observer) -> Result<(), Stop> {
        match opcode {
            b'(' => self.mark(),
            b'0' => self.load_pop(),
            b'1' => self.pop_mark().map(drop),
            b'2' => self.top().and_then(|top| self.push(top)),
            b'I' | b'L' | b'F' | b'J' | b'K' | b'M' | b'G' | 0x8a | 0x8b => {
                self.number(opcode, observer)
            }
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'S' | b'V' | b'T' | b'U' | b'X' | 0x8c | 0x8d => self.text(opcode, observer),
            b'B' | b'C' | 0x8e | 0x96 => self.bytes(opcode),
            b'P' | b'Q' => self.persistent(opcode, observer),
            b'c' | b'i' | 0x93 | 0x82..=0x84 => self.global(opcode, observer),
            b'R' | b'o' | 0x81 | 0x92 => self.call(opcode, observer),
            b'b' => self.build(observer),
            b']' => self.empty(Kind::List),
            b'}' => self.empty(Kind::Dict),
            b')' => self.empty(Kind::Tuple),
            0x8f => self.empty(Kind::Set),
            b'l' | b'd' | b't' | 0x91 | 0x85..=0x87 => self.gather(opcode, observer),
            b'a' | b'e' | b's' | b'u' | 0x90 => self.grow(opcode, observer),
            b'g' | b'h' | b'j' => self.get(opcode),
            b'p' | b'q' | b'r' | 0x94 => self.put(opcode, observer),
            0x80 => self.protocol(),
            0x95 => self.frame(observer),
            // A buffer that travels beside the stream; read-only leaves it where it is.
            0x97 => self.push(Value::Computed),
            0x98 => self.top().map(drop),
            other => Err(Stop::malformed(
                format!("has the byte 0x{other:02x} where an opcode must be"),
                self.at,
            )),
        }
    }

    fn underflow<T>(&self) -> Result<T, Stop> {
        Err(Stop::malformed(
            "takes more from its stack than is there",
            self.at,
        ))
    }

    fn fence(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn push(&mut self, value: Value) -> Result<(), Stop> {
        if self.stack.len() >= MAX_STACK {
            return Err(Stop::limit(
                "its stack",
                format!("{MAX_STACK} values"),
                self.at,
            ));
        }
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, Stop> {
        if self.stack.len() <= self.fence() {
            return self.underflow();
        }
        self.stack.pop().map_or_else(|| self.underflow(), Ok)
    }

    fn top(&self) -> Result<Value, Stop> {
        if self.stack.len() <= self.fence() {
            return self.underflow();
        }
        self.stack
            .last()
            .copied()
            .map_or_else(|| self.underflow(), Ok)
    }

    fn mark(&mut self) -> Result<(), Stop> {
        if self.marks.len() >= MAX_MARKS {
            return Err(Stop::limit("its marks", format!("{MAX_MARKS}"), self.at));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    /// Takes what lies above the last mark, and the mark.
    fn pop_mark(&mut self) -> Result<Vec<Value>, Stop> {
        let Some(mark) = self.marks.pop() else {
            return Err(Stop::malformed("closes a mark that is not open", self.at));
        };
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn load_pop(&mut self) -> Result<(), Stop> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    fn line(&mut self) -> Result<Line, Stop> {
        let mut line = self.cursor.line(MAX_LINE)?;
        if !line.ended {
            // The loader in Python takes the last byte for the line feed that is missing.
            line.bytes.pop();
        }
        Ok(line)
    }

    fn malformed(&self, observer: &mut dyn Observer, because: &str) {
        observer.event(&self.heap, self.at, Event::Malformed(because));
    }

    fn number(&mut self, opcode: u8, observer: &mut dyn Observer) -> Result<(), Stop> {
        let value = match opcode {
            b'J' => Value::Int(i64::from(self.cursor.i32("number")?)),
            b'K' => Value::Int(i64::from(self.cursor.u8("number")?)),
            b'M' => Value::Int(i64::from(self.cursor.u16("number")?)),
            b'G' => {
                self.cursor.skip(8, "number")?;
                Value::Number
            }
            0x8a => {
                let len = self.cursor.u8("number")?;
                self.little_endian(u64::from(len))?
            }
            0x8b => {
                let len = self.cursor.i32("number")?;
                let Ok(len) = u64::try_from(len) else {
                    return Err(Stop::malformed(
                        "has a number of a negative length",
                        self.at,
                    ));
                };
                self.little_endian(len)?
            }
            _ => {
                let line = self.line()?;
                let value = match opcode {
                    b'I' => literal::int(&line.bytes),
                    b'L' => literal::long(&line.bytes),
                    _ => literal::float(&line.bytes),
                };
                match value {
                    Some(value) => value,
                    None if line.cut => Value::Number,
                    None => {
                        self.malformed(observer, "has a number that is none");
                        Value::Number
                    }
                }
            }
        };
        self.push(value)
    }

    fn little_endian(&mut self, len: u64) -> Result<Value, Stop> {
        if len > 8 {
            self.cursor.skip(len, "number")?;
            return Ok(Value::Number);
        }
        let bytes = self.cursor.bytes(len, 8, "number")?;
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut whole = [if negative { 0xff } else { 0 }; 8];
        for (to, from) in whole.iter_mut().zip(&bytes) {
            *to = *from;
        }
        Ok(Value::Int(i64::from_le_bytes(whole)))
    }

    fn text(&mut self, opcode: u8, observer: &mut dyn Observer) -> Result<(), Stop> {
        let value = match opcode {
            b'S' => {
                let line = self.line()?;
                match literal::string(&line.bytes) {
                    Some(bytes) if !line.cut => self.heap.text(&bytes),
                    _ if line.cut => Value::LONG,
                    _ => {
                        self.malformed(
                            observer,
                            "has a STRING that is not quoted or escaped right",
                        );
                        Value::LONG
                    }
                }
            }
            b'V' => {
                let line = self.line()?;
                match literal::raw_unicode_escape(&line.bytes) {
                    Some(text) if !line.cut => self.heap.text(text.as_bytes()),
                    _ if line.cut => Value::LONG,
                    _ => {
                        self.malformed(observer, "has a UNICODE with a broken escape");
                        Value::LONG
                    }
                }
            }
            b'T' => {
                let len = self.cursor.i32("text")?;
                let Ok(len) = u64::try_from(len) else {
                    return Err(Stop::malformed("has a text of a negative length", self.at));
                };
                self.counted(len)?.0
            }
            b'U' => {
                let len = self.cursor.u8("text")?;
                self.counted(u64::from(len))?.0
            }
            _ => {
                let len = match opcode {
                    b'X' => u64::from(self.cursor.u32("text")?),
                    0x8c => u64::from(self.cursor.u8("text")?),
                    _ => self.cursor.u64("text")?,
                };
                let (value, valid) = self.counted(len)?;
                if !valid {
                    self.malformed(observer, "has a text that is not UTF-8");
                }
                value
            }
        };
        self.push(value)
    }

    /// Reads a text of `len` bytes, and whether it is UTF-8 (with lone surrogates, as Python lets pass);
    /// what is too long to be kept is stepped over.
    fn counted(&mut self, len: u64) -> Result<(Value, bool), Stop> {
        if len > MAX_TEXT as u64 {
            let at = self.cursor.at();
            self.cursor.skip(len, "text")?;
            let len = u32::try_from(len).unwrap_or(u32::MAX);
            return Ok((Value::LongText { at, len }, true));
        }
        let bytes = self.cursor.bytes(len, MAX_TEXT, "text")?;
        if std::str::from_utf8(&bytes).is_ok() || literal::is_utf8_with_surrogates(&bytes) {
            return Ok((self.heap.text(&bytes), true));
        }
        Ok((Value::LONG, false))
    }

    fn bytes(&mut self, opcode: u8) -> Result<(), Stop> {
        let len = match opcode {
            b'B' => u64::from(self.cursor.u32("bytes")?),
            b'C' => u64::from(self.cursor.u8("bytes")?),
            _ => self.cursor.u64("bytes")?,
        };
        let at = self.cursor.at();
        self.cursor.skip(len, "bytes")?;
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        self.push(Value::Bytes { at, len })
    }

    fn persistent(&mut self, opcode: u8, observer: &mut dyn Observer) -> Result<(), Stop> {
        let id = if opcode == b'P' {
            let line = self.line()?;
            self.heap.text(&line.bytes)
        } else {
            self.pop()?
        };
        observer.event(&self.heap, self.at, Event::Persistent(id));
        // PyTorch's older streams name a module's class so, with its source beside it.
        let value = match self.heap.items(id, Kind::Tuple) {
            Some([tag, class @ Value::Global(_), ..])
                if self.heap.as_text(*tag) == Some("module") =>
            {
                *class
            }
            _ => {
                let made = self.heap.made(Content::Persistent(id));
                made.ok_or_else(|| self.full())?
            }
        };
        self.push(value)
    }

    fn global(&mut self, opcode: u8, observer: &mut dyn Observer) -> Result<(), Stop> {
        match opcode {
            b'c' => {
                let value = self.named_by_lines(observer)?;
                self.push(value)
            }
            b'i' => {
                let callable = self.named_by_lines(observer)?;
                let arguments = self.pop_mark()?;
                self.instantiate(callable, &arguments, observer)
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let value = self.named_by_stack(module, name, observer)?;
                self.push(value)
            }
            _ => {
                let code = match opcode {
                    0x82 => u32::from(self.cursor.u8("extension")?),
                    0x83 => u32::from(self.cursor.u16("extension")?),
                    _ => self.cursor.u32("extension")?,
                };
                observer.event(&self.heap, self.at, Event::Extension(code));
                self.push(Value::Computed)
            }
        }
    }

    fn named_by_lines(&mut self, observer: &mut dyn Observer) -> Result<Value, Stop> {
        let (module, name) = (self.line()?, self.line()?);
        let (Ok(module), Ok(name)) = (
            std::str::from_utf8(&module.bytes),
            std::str::from_utf8(&name.bytes),
        ) else {
            self.malformed(observer, "names a global that is not UTF-8");
            return Ok(Value::Unknown);
        };
        let (module, name) = (module.to_owned(), name.to_owned());
        self.found(&module, &name, observer)
    }

    fn named_by_stack(
        &mut self,
        module: Value,
        name: Value,
        observer: &mut dyn Observer,
    ) -> Result<Value, Stop> {
        if let (Some(module), Some(name)) = (self.heap.as_text(module), self.heap.as_text(name)) {
            let (module, name) = (module.to_owned(), name.to_owned());
            return self.found(&module, &name, observer);
        }
        let texts = |value| {
            matches!(
                value,
                Value::LongText { .. } | Value::Unknown | Value::Text(_)
            )
        };
        if texts(module) && texts(name) {
            return Err(Stop::limit(
                "the name of a global",
                format!("{MAX_TEXT} bytes, and all texts 8 MiB"),
                self.at,
            ));
        }
        self.malformed(observer, "names a global by something that is no text");
        Ok(Value::Unknown)
    }

    fn found(
        &mut self,
        module: &str,
        name: &str,
        observer: &mut dyn Observer,
    ) -> Result<Value, Stop> {
        let (module, name) = if self.protocol < 3 {
            compatible::today(module, name)
        } else {
            (module, name)
        };
        let Some(id) = self.heap.global(module, name) else {
            return Err(Stop::limit("the number of its globals", "65536", self.at));
        };
        observer.event(&self.heap, self.at, Event::Global(id));
        Ok(Value::Global(id))
    }

    fn instantiate(
        &mut self,
        callable: Value,
        arguments: &[Value],
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        let arguments = self.heap.container(Kind::Tuple, arguments);
        self.called(How::Instantiate, callable, arguments, observer)
    }

    fn call(&mut self, opcode: u8, observer: &mut dyn Observer) -> Result<(), Stop> {
        match opcode {
            b'o' => {
                let mut values = self.pop_mark()?;
                if values.is_empty() {
                    return self.underflow();
                }
                let callable = values.remove(0);
                self.instantiate(callable, &values, observer)
            }
            b'R' => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                self.called(How::Reduce, callable, arguments, observer)
            }
            0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                self.called(How::New, callable, arguments, observer)
            }
            _ => {
                let (_, arguments, callable) = (self.pop()?, self.pop()?, self.pop()?);
                self.called(How::New, callable, arguments, observer)
            }
        }
    }

    fn called(
        &mut self,
        how: How,
        callable: Value,
        arguments: Value,
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        let event = Event::Call {
            how,
            callable,
            arguments,
        };
        observer.event(&self.heap, self.at, event);
        let value = self.result(callable, arguments)?;
        self.push(value)
    }

    fn full(&self) -> Stop {
        Stop::limit("what it makes", "131072 values", self.at)
    }

    /// Returns what a call gives: what is known of the few functions whose result matters.
    fn result(&mut self, callable: Value, arguments: Value) -> Result<Value, Stop> {
        let Value::Global(id) = callable else {
            return Ok(Value::Computed);
        };
        let name = self.heap.full_name(id);
        // These make an instance of the class that they are given.
        let instantiates = MAKERS.contains(&name.as_str()) || name.ends_with(":newObj");
        let id = if instantiates {
            let items = self.heap.items(arguments, Kind::Tuple);
            match items.and_then(<[_]>::first) {
                Some(Value::Global(class)) => *class,
                _ => return Ok(Value::Computed),
            }
        } else {
            id
        };
        let value = match self.heap.full_name(id).as_str() {
            "builtins:getattr" => self.attribute(arguments),
            // The same bytes, which can be looked into.
            "builtins:bytearray" | "builtins:bytes" => {
                match self.heap.items(arguments, Kind::Tuple) {
                    Some([bytes @ Value::Bytes { .. }]) => *bytes,
                    _ => Value::Instance(id),
                }
            }
            "dill._dill:_load_type" => self.plain_type(arguments),
            // Looked into where their numbers are places; there may be more than are kept.
            "numpy:ndarray" | "sklearn.tree._tree:Tree" | "_codecs:encode" => {
                self.noted(id, arguments)
            }
            name if name.ends_with(":_frombuffer") => self.noted(id, arguments),
            "numpy:dtype"
            | "joblib.numpy_pickle:NumpyArrayWrapper"
            | "sklearn.externals.joblib.numpy_pickle:NumpyArrayWrapper" => {
                let made = self.heap.made(Content::Made {
                    global: id,
                    arguments,
                    state: Value::None,
                });
                made.ok_or_else(|| self.full())?
            }
            _ => Value::Instance(id),
        };
        Ok(value)
    }

    /// Returns something made with what it was made of, where there is room.
    fn noted(&mut self, global: u32, arguments: Value) -> Value {
        let made = self.heap.made(Content::Made {
            global,
            arguments,
            state: Value::None,
        });
        made.unwrap_or(Value::Instance(global))
    }

    /// Returns what `getattr` gives where that is known: the function that makes a time zone, which older
    /// protocols cannot name.
    fn attribute(&mut self, arguments: Value) -> Value {
        let items = self.heap.items(arguments, Kind::Tuple).unwrap_or_default();
        let [Value::Global(class), name] = items else {
            return Value::Computed;
        };
        let known = self.heap.full_name(*class) == "zoneinfo:ZoneInfo"
            && self.heap.as_text(*name) == Some("_unpickle");
        let function = known
            .then(|| self.heap.global("zoneinfo", "ZoneInfo._unpickle"))
            .flatten();
        function.map_or(Value::Computed, Value::Global)
    }

    /// Returns the type that dill looks up by its name.
    fn plain_type(&mut self, arguments: Value) -> Value {
        let name = self
            .heap
            .items(arguments, Kind::Tuple)
            .and_then(|items| items.first())
            .and_then(|name| self.heap.as_text(*name))
            .map(ToOwned::to_owned);
        name.filter(|name| PLAIN_TYPES.contains(&name.as_str()))
            .and_then(|name| self.heap.global("builtins", &name))
            .map_or(Value::Computed, Value::Global)
    }

    fn build(&mut self, observer: &mut dyn Observer) -> Result<(), Stop> {
        let state = self.pop()?;
        let on = self.top()?;
        observer.event(&self.heap, self.at, Event::Build { on, state });
        if let Value::Node(id) = on {
            self.heap.set_state(id, state);
        }
        let wrapper = self.arrays
            && self
                .heap
                .maker(on)
                .and_then(|id| self.heap.names(id))
                .is_some_and(|names| {
                    // scikit-learn before 0.21 brings its own.
                    let module = names.module.strip_prefix("sklearn.externals.");
                    module.unwrap_or(&names.module) == "joblib.numpy_pickle"
                        && names.name == "NumpyArrayWrapper"
                });
        if wrapper {
            let bytes = self.array(state, observer)?;
            // joblib puts the array in the place of its wrapper.
            self.pop()?;
            let array = self.arrived(state, bytes)?;
            self.push(array)?;
        }
        Ok(())
    }

    /// Looks at what comes next as the plain loader does, which knows nothing of arrays and takes their bytes for
    /// opcodes.
    fn plain(&mut self, observer: &mut dyn Observer) {
        /// How many opcodes the bytes of an array may happen to be.
        const STEPS: u64 = 4096;
        /// How much of the stack they may use.
        const STACK: usize = 1024;
        let mut found = None;
        let mut watch = |heap: &Heap, at: u64, event: Event<'_>| {
            let (Event::Global(id)
            | Event::Call {
                callable: Value::Global(id),
                ..
            }) = event
            else {
                return;
            };
            let names = heap
                .names(id)
                .is_some_and(|names| super::is_name(&names.module) && super::is_name(&names.name));
            if names && found.is_none() {
                found = Some(at);
            }
        };
        let mut machine = Self::new(self.source, self.cursor.at());
        machine.arrays = false;
        machine.steps = STEPS;
        let below = self.stack.len().saturating_sub(STACK);
        machine.stack = self.stack.get(below..).unwrap_or_default().to_vec();
        machine.marks = self
            .marks
            .iter()
            .map(|mark| mark.saturating_sub(below))
            .collect();
        machine.heap = std::mem::take(&mut self.heap);
        machine.memo = std::mem::take(&mut self.memo);
        machine.undo = Some(Vec::new());
        machine.protocol = self.protocol;
        let _broken = machine.go(&mut Closure(&mut watch));
        for (key, value) in machine.undo.take().into_iter().flatten().rev() {
            machine.memo.restore(key, value);
        }
        self.heap = machine.heap;
        self.memo = machine.memo;
        if let Some(at) = found {
            observer.event(&self.heap, at, Event::Plain);
        }
    }

    /// Makes the array that joblib reads for a wrapper with this state, as a pickle of the array itself would.
    fn arrived(&mut self, wrapper: Value, bytes: Value) -> Result<Value, Stop> {
        let Some(class) = self.heap.global("numpy", "ndarray") else {
            return Err(Stop::limit("the number of its globals", "65536", self.at));
        };
        let array = self.noted(class, Value::None);
        if let Value::Node(id) = array {
            let entry = |key| self.heap.entry(wrapper, key).unwrap_or(Value::Unknown);
            let items = [
                Value::Int(1),
                entry("shape"),
                entry("dtype"),
                entry("order"),
                bytes,
            ];
            let state = self.heap.container(Kind::Tuple, &items);
            self.heap.set_state(id, state);
        }
        Ok(array)
    }

    /// Steps over the bytes of an array, which joblib reads from the file after its wrapper; returns where they are.
    fn array(&mut self, state: Value, observer: &mut dyn Observer) -> Result<Value, Stop> {
        if self.cursor.at() < self.frame_end {
            return Err(Stop::malformed(
                "has the bytes of an array behind opcodes of the same frame",
                self.at,
            ));
        }
        // What follows is read from the file, not from the frame.
        self.frame_end = 0;
        let Some(array) = super::joblib::array(&self.heap, state) else {
            return Err(Stop::malformed(
                "has an array of no readable shape or type",
                self.at,
            ));
        };
        if array.bytes.is_some() {
            self.plain(observer);
        }
        if array.padded {
            let padding = self.cursor.u8("array")?;
            self.cursor.skip(u64::from(padding), "array")?;
        }
        let Some(bytes) = array.bytes else {
            // The stream of the objects has a memo of its own; the names of both have one numbering, by which the
            // observer knows them.
            let mut machine = Self::new(self.source, self.cursor.at());
            machine.arrays = false;
            machine.heap = std::mem::take(&mut self.heap);
            let end = machine.run(observer);
            self.cursor.seek(machine.cursor.at());
            self.heap = machine.heap;
            return end.map(|_| Value::Unknown);
        };
        let at = self.cursor.at();
        self.cursor.skip(bytes, "array")?;
        let len = u32::try_from(bytes).unwrap_or(u32::MAX);
        Ok(Value::Bytes { at, len })
    }

    fn empty(&mut self, kind: Kind) -> Result<(), Stop> {
        let value = self.heap.container(kind, &[]);
        self.push(value)
    }

    fn gather(&mut self, opcode: u8, observer: &mut dyn Observer) -> Result<(), Stop> {
        let (kind, values) = match opcode {
            b'l' => (Kind::List, self.pop_mark()?),
            b't' => (Kind::Tuple, self.pop_mark()?),
            0x91 => (Kind::FrozenSet, self.pop_mark()?),
            b'd' => {
                let mut values = self.pop_mark()?;
                if values.len() % 2 != 0 {
                    self.malformed(observer, "has a dictionary with a key and no value");
                    values.pop();
                }
                (Kind::Dict, values)
            }
            _ => {
                let count = usize::from(opcode) - 0x84;
                let mut values = Vec::with_capacity(count);
                for _ in 0..count {
                    values.push(self.pop()?);
                }
                values.reverse();
                (Kind::Tuple, values)
            }
        };
        let value = self.heap.container(kind, &values);
        self.weigh(value, observer);
        self.push(value)
    }

    fn grow(&mut self, opcode: u8, observer: &mut dyn Observer) -> Result<(), Stop> {
        let values = match opcode {
            b'a' => vec![self.pop()?],
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                vec![key, value]
            }
            _ => self.pop_mark()?,
        };
        let on = self.top()?;
        // Without a value nothing is called, whatever lies there; but the loader in Python extends.
        if values.is_empty() && opcode != b'e' {
            return Ok(());
        }
        let (event, kind) = match opcode {
            b'a' | b'e' => (Event::Append(on), Kind::List),
            b's' | b'u' => (Event::SetItem(on), Kind::Dict),
            _ => (Event::AddItem(on), Kind::Set),
        };
        if kind == Kind::Dict && values.len() % 2 != 0 {
            self.malformed(observer, "sets a key without a value");
        }
        observer.event(&self.heap, self.at, event);
        if let Value::Node(id) = on
            && self.heap.kind(on) == Some(kind)
        {
            self.heap.extend(id, &values);
            self.weigh(on, observer);
        }
        Ok(())
    }

    fn weigh(&mut self, value: Value, observer: &mut dyn Observer) {
        let (weight, depth) = (self.heap.weight(value), self.heap.depth(value));
        if !self.warned && (weight > HEAVY || depth > DEEP) {
            self.warned = true;
            observer.event(&self.heap, self.at, Event::Heavy { weight, depth });
        }
    }

    fn get(&mut self, opcode: u8) -> Result<(), Stop> {
        let key = match opcode {
            b'g' => {
                let line = self.line()?;
                literal::index(&line.bytes)
            }
            b'h' => Some(u64::from(self.cursor.u8("memo")?)),
            _ => Some(u64::from(self.cursor.u32("memo")?)),
        };
        match key.and_then(|key| self.memo.get(key)) {
            Some(value) => self.push(value),
            None => Err(Stop::malformed(
                "takes from its memo what is not there",
                self.at,
            )),
        }
    }

    fn put(&mut self, opcode: u8, observer: &mut dyn Observer) -> Result<(), Stop> {
        let key = match opcode {
            b'p' => {
                let line = self.line()?;
                literal::index(&line.bytes)
            }
            b'q' => Some(u64::from(self.cursor.u8("memo")?)),
            b'r' => Some(u64::from(self.cursor.u32("memo")?)),
            _ => Some(self.memo.count()),
        };
        let top = self.top()?;
        let Some(key) = key else {
            return Err(Stop::malformed("has a memo number that is none", self.at));
        };
        if key > FAR && key / FAR > self.memo.count() {
            observer.event(&self.heap, self.at, Event::FarMemo(key));
        }
        if let Some(undo) = &mut self.undo {
            undo.push((key, self.memo.get(key)));
        }
        if self.memo.put(key, top) {
            return Ok(());
        }
        Err(Stop::limit(
            "its memo",
            format!("{MAX_MEMO} values"),
            self.at,
        ))
    }

    fn protocol(&mut self) -> Result<(), Stop> {
        let protocol = self.cursor.u8("protocol")?;
        if protocol > HIGHEST_PROTOCOL {
            return Err(Stop::malformed(
                format!("has the protocol {protocol}; loaders know up to {HIGHEST_PROTOCOL}"),
                self.at,
            ));
        }
        self.protocol = protocol;
        Ok(())
    }

    fn frame(&mut self, observer: &mut dyn Observer) -> Result<(), Stop> {
        let len = self.cursor.u64("frame")?;
        let (outer, end) = (self.frame_end, self.cursor.at().saturating_add(len));
        if self.at < outer && outer < end {
            observer.event(&self.heap, self.at, Event::Straddles);
        }
        // The loader in C wants the whole frame, the one in Python takes what there is.
        if end > self.source.len() {
            self.malformed(observer, "has a frame that goes beyond the end of the file");
        }
        self.frame_end = end;
        Ok(())
    }
}
