//! What the rules say of what a pickle would do.

use std::fmt::Write as _;

use crate::scan::{Found, Scan, shown};
use custody_findings::Severity;
use custody_findings::rules::Judgement;

use super::Watch;
use super::joblib;
use super::machine::{Event, How, Observer, PLAIN_TYPES};
use super::places::{self, Check};
use super::state;
use super::value::{Content, Global, Heap, Kind, Value};

/// What a global is, by the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A class: may be instantiated, its instances may have a state.
    Class,
    /// A class of dictionaries.
    Mapping,
    /// A class of lists.
    Sequence,
    /// A class of sets.
    Set,
    /// A plain type of Python, whose methods are harmless.
    Type,
    /// A function whose result is data.
    Function,
    /// May be named, not called.
    Reference,
    /// Known to be bad.
    Sink,
    /// Not known, or nameless.
    Unknown,
}

/// What a plain type may be made of besides what the stream holds itself: these look nothing up.
const PLAIN_MAKERS: [&str; 20] = [
    "builtins:bool",
    "builtins:bytearray",
    "builtins:bytes",
    "builtins:complex",
    "builtins:dict",
    "builtins:float",
    "builtins:frozenset",
    "builtins:int",
    "builtins:list",
    "builtins:range",
    "builtins:set",
    "builtins:slice",
    "builtins:str",
    "builtins:tuple",
    "collections:OrderedDict",
    "collections:deque",
    "numpy:ndarray",
    "numpy.core.multiarray:scalar",
    "numpy._core.multiarray:scalar",
    "_codecs:encode",
];
/// How many arguments of a call are shown.
const SHOWN_ARGUMENTS: usize = 4;
/// Classes that keep a model in its own format, and where.
const BOOSTERS: [&str; 2] = ["lightgbm.basic:Booster", "xgboost.core:Booster"];
const HANDLES: [&str; 2] = ["handle", "_handle"];
/// How many nested pickles are followed.
const MAX_NESTED: usize = 256;

/// Hears what a loader would do, and reports what is not allowed.
pub(super) struct PickleAnalyzer<'j, 's, 'r, 'w> {
    scan: &'j mut Scan<'s>,
    roles: Vec<Option<Role>>,
    /// Who owns persistent ids and hears of all events; `None` where nothing may ask by id.
    watch: Option<&'r mut Watch<'w>>,
    /// Bytes that are loaded as pickles themselves, or as models: where and how long.
    pub(super) nested: Vec<(u64, u64)>,
    /// Arrays that are to be looked into.
    pub(super) checks: Vec<Check>,
}

impl<'j, 's, 'r, 'w> PickleAnalyzer<'j, 's, 'r, 'w> {
    pub(super) fn new(scan: &'j mut Scan<'s>, watch: Option<&'r mut Watch<'w>>) -> Self {
        Self {
            scan,
            roles: Vec::new(),
            watch,
            nested: Vec::new(),
            checks: Vec::new(),
        }
    }

    fn found(&mut self, at: u64, found: Found) {
        self.scan.found(found.at(at));
    }

    /// Judges a global the first time that it is named and returns what it is.
    fn role(&mut self, heap: &Heap, at: u64, id: u32) -> Role {
        let index = id as usize;
        if let Some(Some(role)) = self.roles.get(index) {
            return *role;
        }
        let role = heap
            .names(id)
            .map_or(Role::Unknown, |names| self.named(at, names));
        if index >= self.roles.len() {
            self.roles.resize(index + 1, None);
        }
        if let Some(place) = self.roles.get_mut(index) {
            *place = Some(role);
        }
        role
    }

    fn named(&mut self, at: u64, names: &Global) -> Role {
        let full = names.full();
        let rules = self.scan.rules;
        match rules.judge("pickle", &full) {
            Judgement::Allowed(allow) => {
                return match allow.role.as_deref() {
                    Some("class") => Role::Class,
                    Some("mapping") => Role::Mapping,
                    Some("sequence") => Role::Sequence,
                    Some("set") => Role::Set,
                    Some("type") => Role::Type,
                    Some("function") => Role::Function,
                    _ => Role::Reference,
                };
            }
            Judgement::Sink(sink) => {
                self.sink(at, &full, &sink.can, sink.severity, &sink.references);
                return Role::Sink;
            }
            Judgement::Unknown => {}
        }
        if let Some((owner, sink)) = self.sink_in_path(names) {
            let (can, severity, references) =
                (sink.can.clone(), sink.severity, sink.references.clone());
            self.sink(
                at,
                &format!("{full}` (that is `{owner}"),
                &can,
                severity,
                &references,
            );
            return Role::Sink;
        }
        if names
            .name
            .split('.')
            .chain(names.module.split('.'))
            .any(is_dunder)
        {
            self.found(
                at,
                Found::malicious("pickle/attribute", format!("names `{}`", shown(&full)))
                    .why("special attributes lead from any object to all of Python")
                    .see(&["AML.T0011.000"]),
            );
            return Role::Sink;
        }
        self.found(
            at,
            Found::review(
                "pickle/unknown",
                format!("imports `{}`, which no rule knows", shown(&full)),
            )
            .why("importing and calling it runs code that nobody has looked at")
            .see(&["AML.T0011.000"]),
        );
        Role::Unknown
    }

    /// Finds a known sink that a dotted name reaches through another module, as `logging` reaches `os`.
    fn sink_in_path(&self, names: &Global) -> Option<(String, &'s custody_findings::rules::Sink)> {
        let path: Vec<_> = names.name.split('.').collect();
        let (last, owners) = path.split_last()?;
        let rules = self.scan.rules;
        (0..owners.len()).find_map(|from| {
            let owner = owners.get(from..)?.join(".");
            [owner.as_str(), owner.trim_start_matches('_')]
                .into_iter()
                .find_map(|owner| {
                    let full = format!("{owner}:{last}");
                    match rules.judge("pickle", &full) {
                        Judgement::Sink(sink) => Some((full, sink)),
                        _ => None,
                    }
                })
        })
    }

    fn sink(&mut self, at: u64, name: &str, can: &str, severity: Severity, references: &[String]) {
        let mut found = Found::malicious(
            "pickle/sink",
            format!("imports `{}`: it can {can}", shown(name)),
        )
        .severity(severity)
        .why("a model needs no such function; loading the file would hand it to the loader");
        found.references = references.to_vec();
        if found.references.is_empty() {
            found.references.push("AML.T0011.000".to_owned());
        }
        if severity < Severity::High {
            found.verdict = custody_findings::Verdict::Review;
        }
        self.found(at, found);
    }

    fn called(&mut self, heap: &Heap, at: u64, how: How, callable: Value, arguments: Value) {
        let Value::Global(id) = callable else {
            if callable != Value::Unknown {
                self.found(
                    at,
                    Found::malicious(
                        "pickle/computed-call",
                        "calls something that it computed before",
                    )
                    .why("only named classes and functions need to be called to load a model")
                    .see(&["AML.T0011.000"]),
                );
            }
            return;
        };
        let role = self.role(heap, at, id);
        let name = heap.full_name(id);
        match role {
            Role::Sink => {
                self.nest(heap, arguments);
                self.found(
                    at,
                    Found::malicious(
                        "pickle/call",
                        format!("calls `{}` with {}", shown(&name), preview(heap, arguments)),
                    )
                    .why("loading the file would execute this")
                    .see(&["AML.T0011.000"]),
                );
            }
            Role::Unknown => {}
            Role::Reference => self.found(
                at,
                Found::review(
                    "pickle/call",
                    format!(
                        "calls `{}`, which may be named but not called",
                        shown(&name)
                    ),
                ),
            ),
            Role::Class
            | Role::Mapping
            | Role::Sequence
            | Role::Set
            | Role::Type
            | Role::Function => {
                let rule = match self.scan.rules.judge("pickle", &name) {
                    Judgement::Allowed(allow) => allow.arguments.as_deref(),
                    _ => None,
                };
                if allocates(heap, &name, arguments) {
                    self.found(
                        at,
                        Found::malicious(
                            "pickle/bomb",
                            format!("calls `{}` with {}", shown(&name), preview(heap, arguments)),
                        )
                        .severity(Severity::High)
                        .why("it takes memory that the stream does not hold")
                        .see(&["CWE-400", "AML.T0029"]),
                    );
                }
                if !self.allows(heap, at, rule, role, how, arguments) {
                    self.found(
                        at,
                        Found::review(
                            "pickle/arguments",
                            format!(
                                "calls `{}` with {}, which its rule does not allow",
                                shown(&name),
                                preview(heap, arguments)
                            ),
                        )
                        .why("with such arguments it does more than make data")
                        .severity(Severity::High),
                    );
                }
            }
        }
    }

    /// Whether a rule allows what a class and the name of its attribute name together.
    fn names_allowed(&self, heap: &Heap, items: &[Value]) -> bool {
        let [Value::Global(class), name] = items else {
            return false;
        };
        let name = heap.as_text(*name).unwrap_or_default();
        let full = format!("{}.{name}", heap.full_name(*class));
        matches!(
            self.scan.rules.judge("pickle", &full),
            Judgement::Allowed(_)
        )
    }

    /// Whether an instance of a known class and the name of its attribute make a method that no rule calls bad. It is
    /// taken, not called.
    fn is_bound(&mut self, heap: &Heap, at: u64, items: &[Value]) -> bool {
        let [instance, name] = items else {
            return false;
        };
        let (Some(class), Some(name)) = (heap.maker(*instance), heap.as_text(*name)) else {
            return false;
        };
        let known = matches!(
            self.role(heap, at, class),
            Role::Class | Role::Mapping | Role::Sequence | Role::Set
        );
        let full = format!("{}.{name}", heap.full_name(class));
        let rules = self.scan.rules;
        known
            && !name.starts_with("__")
            && !name.contains('.')
            && !matches!(rules.judge("pickle", &full), Judgement::Sink(_))
    }

    /// Whether the arguments are of the kind that a rule allows.
    fn allows(
        &mut self,
        heap: &Heap,
        at: u64,
        rule: Option<&str>,
        role: Role,
        how: How,
        arguments: Value,
    ) -> bool {
        let Some(items) = heap.items(arguments, Kind::Tuple) else {
            // Too many arguments to be kept: a plain type takes any.
            return role == Role::Type;
        };
        let class = |judge: &mut Self, value: Option<&Value>| match value {
            Some(Value::Global(id)) => matches!(
                judge.role(heap, at, *id),
                Role::Class | Role::Mapping | Role::Sequence | Role::Set | Role::Type
            ),
            _ => false,
        };
        match rule {
            Some("any" | "data") => true,
            Some("optional-function") if items.is_empty() => true,
            Some("class") => {
                class(self, items.first())
                    && items
                        .iter()
                        .skip(1)
                        .all(|item| !matches!(item, Value::Global(_)) || class(self, Some(item)))
            }
            Some("attribute") => {
                let [of, name] = items else {
                    return false;
                };
                let plain = heap
                    .as_text(*name)
                    .is_some_and(|name| !name.starts_with('_') && !name.contains('.'));
                let plain = plain && (class(self, Some(of)) || matches!(of, Value::Text(_)));
                plain || self.names_allowed(heap, items) || self.is_bound(heap, at, items)
            }
            Some("function" | "optional-function") => match items.first() {
                Some(callable) => self.is_harmless(heap, at, *callable),
                None => false,
            },
            // It calls its first argument with its third, and sets attributes of what it made: that must be a tensor.
            Some("call") => match items {
                [callable @ Value::Global(id), _, arguments, ..]
                    if heap.items(*arguments, Kind::Tuple).is_some()
                        && heap.full_name(*id).starts_with("torch.") =>
                {
                    self.called(heap, at, How::Reduce, *callable, *arguments);
                    true
                }
                _ => false,
            },
            // It calls its first argument with its second.
            Some("apply") => match items {
                [callable @ Value::Global(_), arguments, ..]
                    if heap.items(*arguments, Kind::Tuple).is_some() =>
                {
                    self.called(heap, at, How::Reduce, *callable, *arguments);
                    true
                }
                _ => false,
            },
            Some("pickle") => {
                self.nest(heap, arguments);
                items.iter().all(|item| matches!(item, Value::Bytes { .. }))
            }
            // A scalar of objects is a pickle in bytes.
            Some("scalar") => {
                let objects = items.first().is_some_and(|of| holds_objects(heap, *of));
                if objects {
                    self.nest(heap, arguments);
                }
                !objects || matches!(items.get(1), Some(Value::Bytes { .. }))
            }
            Some(rule) => literal(heap, rule, items),
            None => unruled(heap, role, how, items),
        }
    }

    /// Whether it may be called later: a known function, or a partial one, whose function was judged when it was made.
    fn is_harmless(&mut self, heap: &Heap, at: u64, callable: Value) -> bool {
        match callable {
            Value::Global(id) => !matches!(self.role(heap, at, id), Role::Sink | Role::Unknown),
            Value::Instance(id) => heap.full_name(id) == "functools:partial",
            _ => false,
        }
    }

    /// Remembers bytes that are loaded as a pickle.
    fn nest(&mut self, heap: &Heap, arguments: Value) {
        for item in heap.items(arguments, Kind::Tuple).unwrap_or_default() {
            if let Value::Bytes { at, len } = item
                && self.nested.len() < MAX_NESTED
            {
                self.nested.push((*at, u64::from(*len)));
            }
        }
    }

    /// Whether items may be set on, or added to, what should be of `kind`.
    fn grown(&mut self, heap: &Heap, at: u64, on: Value, kind: Kind, what: &str) {
        if heap.kind(on) == Some(kind) || on == Value::Unknown {
            return;
        }
        let role = heap.maker(on).map(|id| self.role(heap, at, id));
        let fits = match kind {
            Kind::Dict => Role::Mapping,
            Kind::List => Role::Sequence,
            _ => Role::Set,
        };
        let found = match role {
            Some(role) if role == fits => return,
            Some(Role::Sink | Role::Unknown) => return,
            Some(Role::Class) => Found::review("pickle/items", format!("{what} an instance")),
            _ => Found::malicious("pickle/items", format!("{what} something that is none"))
                .severity(Severity::High),
        };
        self.found(
            at,
            found
                .why("it calls a method of an object in a way that no pickler writes")
                .see(&["CVE-2026-24747"]),
        );
    }

    /// What a state makes an object call: a partial function its function, a dictionary with a default its factory.
    fn factory(&mut self, heap: &Heap, at: u64, on: Value, given: Value) {
        let Some(maker) = heap.maker(on) else {
            return;
        };
        let name = heap.full_name(maker);
        let items = heap.items(given, Kind::Tuple).unwrap_or_default();
        let called = match name.as_str() {
            "functools:partial" => items.first().copied().unwrap_or(Value::Computed),
            // A state for attributes alone: a pair of a dictionary or nothing, and of one of slots.
            "collections:defaultdict" => {
                let slots = [Some(given), items.first().copied(), items.get(1).copied()];
                let factory = slots
                    .into_iter()
                    .flatten()
                    .find_map(|slots| heap.entry(slots, "default_factory"));
                match factory {
                    Some(Value::None) | None
                        if !items.iter().any(|item| {
                            heap.kind(*item) == Some(Kind::Dict)
                                && heap.items(*item, Kind::Dict).is_none()
                        }) =>
                    {
                        return;
                    }
                    Some(factory) => factory,
                    None => Value::Computed,
                }
            }
            "numpy:dtype" => {
                if !joblib::is_sound(heap, on, given) {
                    self.found(
                        at,
                        Found::malicious(
                            "numpy/dtype",
                            "gives a type of NumPy a state that contradicts it",
                        )
                        .severity(Severity::High)
                        .why("NumPy believes where its values lie and which are pointers")
                        .see(&["CWE-843", "CWE-125", "AML.T0011.000"]),
                    );
                }
                return;
            }
            _ => return,
        };
        let known = match called {
            Value::Global(id) => !matches!(self.role(heap, at, id), Role::Sink | Role::Unknown),
            Value::Instance(id) => heap.full_name(id) == "functools:partial",
            _ => false,
        };
        if !known {
            self.found(
                at,
                Found::review(
                    "pickle/state",
                    format!("has `{}` call what the stream computed", shown(&name)),
                )
                .severity(Severity::High)
                .why("it is called when the object is used, or already while it is loaded")
                .see(&["AML.T0011.000"]),
            );
        }
    }

    /// What native code will believe of a state: the arrays of trees and matrices, boosters in their own formats.
    fn places(&mut self, heap: &Heap, at: u64, on: Value, given: Value) {
        let Some(maker) = heap.maker(on) else {
            return;
        };
        let owner = heap.full_name(maker);
        if BOOSTERS.contains(&owner.as_str()) {
            let handle = HANDLES.iter().find_map(|key| heap.entry(given, key));
            match handle {
                Some(Value::Bytes { at, len } | Value::LongText { at, len })
                    if self.nested.len() < MAX_NESTED =>
                {
                    self.nested.push((at, u64::from(len)));
                }
                Some(text @ Value::Text(_)) => {
                    let text = heap.as_text(text).unwrap_or_default().as_bytes();
                    self.scan.member("booster", &text);
                }
                _ => {}
            }
            return;
        }
        match places::checks(heap, &owner, on, given) {
            Some(checks) if self.checks.len() < places::MAX_CHECKS => {
                for check in checks {
                    match check.at_once(heap) {
                        Ok(found) => found.into_iter().for_each(|found| self.found(at, found)),
                        Err(later) => self.checks.push(later),
                    }
                }
            }
            _ => self.found(
                at,
                Found::unscannable(
                    "pickle/place",
                    format!(
                        "gives `{}` arrays of places that cannot be looked into",
                        shown(&owner)
                    ),
                )
                .see(&["CWE-125", "AML.T0076"]),
            ),
        }
    }

    fn built(&mut self, heap: &Heap, at: u64, on: Value, given: Value) {
        self.factory(heap, at, on, given);
        self.places(heap, at, on, given);
        if let Some(class) = heap.maker(on)
            && let Some(found) = state::judge(heap, &heap.full_name(class), given)
        {
            self.found(at, found);
        }
        let what = match on {
            Value::Unknown | Value::Instance(_) => return,
            Value::Node(_) if heap.maker(on).is_some() => return,
            Value::Global(id) => format!("changes attributes of `{}`", shown(&heap.full_name(id))),
            _ => "sets the state of something that has none".to_owned(),
        };
        self.found(
            at,
            Found::malicious("pickle/build", what)
                .why("a class or function that is changed stays changed for the whole program")
                .see(&["AML.T0011.000"]),
        );
    }
}

impl Observer for PickleAnalyzer<'_, '_, '_, '_> {
    fn event(&mut self, heap: &Heap, at: u64, event: Event<'_>) {
        if let Some(watch) = self.watch.as_mut() {
            watch(heap, at, event);
        }
        match event {
            Event::Global(id) => {
                self.role(heap, at, id);
            }
            Event::Extension(code) => self.found(
                at,
                Found::malicious(
                    "pickle/extension",
                    format!("takes the object {code} of the process's extension registry"),
                )
                .why("the file does not say what it is: another file, or the program, decides")
                .see(&["AML.T0011.000"]),
            ),
            Event::Call {
                how,
                callable,
                arguments,
            } => self.called(heap, at, how, callable, arguments),
            Event::Build { on, state } => self.built(heap, at, on, state),
            Event::Append(on) => self.grown(heap, at, on, Kind::List, "appends to"),
            Event::SetItem(on) => self.grown(heap, at, on, Kind::Dict, "sets items of"),
            Event::AddItem(on) => self.grown(heap, at, on, Kind::Set, "adds to"),
            Event::Persistent(_) if self.watch.is_some() => {}
            Event::Persistent(_) => self.found(
                at,
                Found::review("pickle/persistent", "asks its loader for an object by id")
                    .why("what it gets is decided by the program that loads it"),
            ),
            Event::Malformed(because) => {
                self.found(
                    at,
                    Found::unscannable("pickle/malformed", format!("the stream {because}"))
                        .see(&["AML.T0076"]),
                );
            }
            Event::Plain => self.found(
                at,
                Found::malicious(
                    "polyglot/pickle",
                    "the bytes of an array are opcodes that name something",
                )
                .why("a loader that knows nothing of arrays in the stream runs them")
                .see(&["AML.T0074"]),
            ),
            Event::Straddles => self.found(
                at,
                Found::malicious(
                    "pickle/frame",
                    "has a value that goes beyond the end of its frame",
                )
                .severity(Severity::High)
                .why("loaders read different things there, and no pickler writes it")
                .see(&["CWE-436", "AML.T0074"]),
            ),
            Event::FarMemo(number) => self.found(
                at,
                Found::malicious(
                    "pickle/bomb",
                    format!("uses the memo number {number} at once"),
                )
                .severity(Severity::High)
                .why("a loader makes room for all numbers below it")
                .see(&["CWE-400", "AML.T0029"]),
            ),
            Event::Heavy { weight, depth } => self.found(
                at,
                Found::malicious(
                    "pickle/bomb",
                    format!("makes {weight:.0} values, nested {depth} deep, from a small stream"),
                )
                .severity(Severity::High)
                .why("walking, comparing or printing the result takes all memory or time")
                .see(&["CWE-400", "AML.T0029"]),
            ),
        }
    }
}

/// Whether arguments are what a rule allows that looks at their values alone; a rule that is not known allows none.
fn literal(heap: &Heap, rule: &str, items: &[Value]) -> bool {
    match rule {
        "none" => items.is_empty(),
        "constants" => items
            .iter()
            .all(|item| matches!(item, Value::None | Value::Bool(_))),
        "type-name" => items.iter().all(|item| {
            heap.as_text(*item)
                .is_some_and(|name| PLAIN_TYPES.contains(&name))
        }),
        "plain-names" => items.iter().all(|item| {
            heap.as_text(*item).is_some_and(|names| {
                let mut parts = names.split('.');
                parts.all(|part| {
                    part.starts_with(|first: char| first.is_ascii_alphabetic())
                        && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                })
            })
        }),
        "container" => match items {
            [item] => heap.kind(*item).is_some() || matches!(item, Value::Text(_)),
            _ => false,
        },
        // A power of ten in a text would be computed.
        "fraction" => items.iter().all(|item| match item {
            Value::Int(_) | Value::Instance(_) => true,
            item => heap.as_text(*item).is_some_and(|text| {
                text.chars()
                    .all(|letter| letter.is_ascii_digit() || "/- ".contains(letter))
            }),
        }),
        "codec" => items.get(1).is_none_or(|codec| {
            heap.as_text(*codec).is_some_and(|codec| {
                matches!(
                    codec,
                    "latin1" | "latin-1" | "utf-8" | "utf8" | "ascii" | "hex" | "base64"
                )
            })
        }),
        _ => false,
    }
}

/// Whether something may be called with these arguments where no rule speaks of them: a class with objects, no texts; a
/// plain type with what the stream holds itself, for going through another object calls what it looks its items up with.
fn unruled(heap: &Heap, role: Role, how: How, items: &[Value]) -> bool {
    let is_text = |id: u32| {
        matches!(
            heap.full_name(id).as_str(),
            "builtins:str" | "builtins:bytes" | "builtins:bytearray"
        )
    };
    let bare = |item: &Value| match item {
        Value::Text(_) | Value::LongText { .. } | Value::Bytes { .. } | Value::Computed => true,
        Value::Instance(id) => is_text(*id),
        _ => false,
    };
    let walks = |item: &Value| {
        let maker = heap.maker(*item).map(|maker| heap.full_name(maker));
        *item == Value::Computed
            || maker.is_some_and(|maker| !PLAIN_MAKERS.contains(&maker.as_str()))
    };
    match role {
        Role::Type => !items.iter().any(walks),
        Role::Function if how == How::Reduce => true,
        _ => !items.iter().any(bare),
    }
}

/// More elements than this are not asked for by a call, in a stream that a pickler wrote.
const MAX_ASKED: u64 = 1 << 20;

/// Whether a call takes memory for elements that the stream does not hold.
fn allocates(heap: &Heap, name: &str, arguments: Value) -> bool {
    let items = heap.items(arguments, Kind::Tuple).unwrap_or_default();
    let product = |items: &[Value]| {
        items.iter().fold(1u64, |product, item| match item {
            Value::Int(number) => product.saturating_mul(u64::try_from(*number).unwrap_or(0)),
            _ => product,
        })
    };
    let iterates = || {
        items.iter().any(|item| match item {
            Value::Instance(id) => matches!(
                heap.full_name(*id).as_str(),
                "builtins:range" | "itertools:count" | "itertools:cycle" | "itertools:repeat"
            ),
            _ => false,
        })
    };
    match name.rsplit(':').next().unwrap_or_default() {
        "bytearray" | "bytes" => product(items) > MAX_ASKED,
        "list" | "tuple" | "set" | "frozenset" | "dict" | "deque" | "array" | "Counter" => {
            iterates()
        }
        "_reconstruct" | "ndarray" | "recarray" | "matrix" | "chararray" => {
            let shapes = items
                .iter()
                .filter_map(|item| heap.items(*item, Kind::Tuple));
            product(items).max(shapes.map(product).max().unwrap_or(0)) > MAX_ASKED
        }
        _ => false,
    }
}

/// Whether a symbolic `numpy.dtype` is that of objects.
fn holds_objects(heap: &Heap, dtype: Value) -> bool {
    let Value::Node(id) = dtype else {
        return true;
    };
    match heap.node(id).map(|node| &node.content) {
        Some(Content::Made { arguments, .. }) => heap
            .items(*arguments, Kind::Tuple)
            .and_then(<[_]>::first)
            .and_then(|code| heap.as_text(*code))
            .is_none_or(|code| code.contains(['O', 'V', 'o'])),
        _ => true,
    }
}

fn is_dunder(name: &str) -> bool {
    name.len() > 4 && name.starts_with("__") && name.ends_with("__") && name != "__main__"
}

/// Shows arguments as Python would, cut short.
fn preview(heap: &Heap, arguments: Value) -> String {
    let Some(items) = heap.items(arguments, Kind::Tuple) else {
        return "arguments that are not kept".to_owned();
    };
    if items.is_empty() {
        return "no arguments".to_owned();
    }
    let mut text = String::from("`(");
    for (index, item) in items.iter().take(SHOWN_ARGUMENTS).enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        let _ = match item {
            Value::Text(_) => {
                let content: String = heap
                    .as_text(*item)
                    .unwrap_or("…")
                    .chars()
                    .take(60)
                    .collect();
                write!(text, "{content:?}")
            }
            Value::Int(number) => write!(text, "{number}"),
            Value::None => write!(text, "None"),
            Value::Bool(answer) => write!(text, "{answer}"),
            Value::Global(id) => write!(text, "{}", shown(&heap.full_name(*id))),
            Value::Bytes { len, .. } => write!(text, "{len} bytes"),
            _ => write!(text, "…"),
        };
    }
    if items.len() > SHOWN_ARGUMENTS {
        text.push_str(", …");
    }
    text.push_str(")`");
    text
}
