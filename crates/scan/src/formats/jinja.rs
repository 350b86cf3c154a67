//! Chat templates: programs in Jinja that a tokenizer runs. Parsed, walked and judged by the rules; never
//! rendered.

mod known;
mod work;

use std::collections::HashSet;

use minijinja::machinery::ast::{BinOpKind, Call, CallArg, CallType, Expr, Macro, Stmt};
use minijinja::machinery::{Token, parse, tokenize};
use minijinja::syntax::SyntaxConfig;

use crate::cursor::Cursor;
use crate::formats::text;
use crate::scan::{Found, Scan, shown};
use crate::source::Source;
use custody_findings::Severity;
use custody_findings::rules::Judgement;
use known::Known;
use work::{MAX_WORK, Work};

/// How long a template may be, in bytes.
pub(crate) const MAX_TEMPLATE: usize = 1 << 20;
/// How long a line of a template may be, in bytes: the parser counts columns in 16 bits.
const MAX_LINE: usize = 60_000;
/// How many operators an expression may have, and how many `elif` a template.
const MAX_CHAIN: usize = 400;
/// Endings of files that are templates.
const TEMPLATES: [&str; 3] = ["jinja", "jinja2", "j2"];
/// Endings of text that people read, where a template is an example.
const PROSE: [&str; 6] = ["md", "markdown", "rst", "html", "htm", "tex"];
const REFERENCES: [&str; 3] = ["AML.T0011.000", "CVE-2024-34359", "CWE-1336"];
/// Tags that `transformers` adds, and tags of the same meaning and length that the parser knows.
const EXTENSIONS: [(&str, &str); 2] = [("endgeneration", "endif"), ("generation", "if true")];

/// Judges a template that stands at `offset` of the part that is being scanned.
pub(crate) fn check(template: &str, scan: &mut Scan<'_>, offset: Option<u64>) {
    let mut walk = Walk {
        scan,
        offset,
        locals: HashSet::new(),
        underscores: false,
        computed: false,
        known: Known::default(),
        work: Work::default(),
        macros: Macros::default(),
    };
    if template.len() > MAX_TEMPLATE {
        walk.report(Found::unscannable(
            "limits/size",
            format!("a template of more than {MAX_TEMPLATE} bytes"),
        ));
        return;
    }
    let known = extensions(template);
    if is_wide(&known) {
        walk.report(Found::unscannable(
            "limits/size",
            format!("a template with a line of more than {MAX_LINE} bytes"),
        ));
        return;
    }
    if is_endless(&known) {
        walk.report(
            Found::unscannable(
                "limits/depth",
                format!("a template with an expression or a choice of more than {MAX_CHAIN} steps"),
            )
            .see(&["CWE-674"]),
        );
        return;
    }
    match parse(&known, "template", SyntaxConfig::default()) {
        Ok(tree) => {
            walk.identifiers(&known);
            walk.targets(&tree);
            walk.statement(&tree);
            walk.assembled();
        }
        Err(error) => walk.unparsed(template, &error.to_string()),
    }
}

/// Judges a template that is written as a list of `lines`, the first of which stands at `offset`: as the
/// one text that they make, and whatever of it is a template by itself.
pub(crate) fn lines(lines: &[String], scan: &mut Scan<'_>, offset: u64) {
    let joined = lines.concat();
    let apart = lines.join("\n");
    let whole = parses(&joined);
    if whole || !parses(&apart) {
        check(&joined, scan, Some(offset));
    }
    if is_template(&apart) {
        check(&apart, scan, Some(offset));
    }
    for line in lines.iter().filter(|line| is_template(line)) {
        check(line, scan, Some(offset));
    }
}

/// Whether a text is a template that the parser reads.
fn parses(text: &str) -> bool {
    let known = extensions(text);
    !is_endless(&known) && parse(&known, "template", SyntaxConfig::default()).is_ok()
}

/// Judges a part that is a file of its own: one whose name promises a template, and text that is one.
pub(crate) fn file(source: &dyn Source, is_text: bool, scan: &mut Scan<'_>) {
    let ending = scan
        .name()
        .rsplit_once('.')
        .map_or("", |(_, ending)| ending);
    let ending = ending.to_ascii_lowercase();
    let named = TEMPLATES.contains(&ending.as_str());
    if !named && (!is_text || PROSE.contains(&ending.as_str())) {
        return;
    }
    let mut cursor = Cursor::new(source);
    let text = cursor
        .bytes(source.len(), MAX_TEMPLATE, "a template")
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    match text {
        // The source of a program is reported as such; what it has in braces is no template.
        Some(text) if !named && text::is_code(&text) => {}
        Some(text) if named || is_template(&text) => check(&text, scan, None),
        None if named => scan.found(
            Found::unscannable(
                "jinja/unread",
                format!("a template that is no text of at most {MAX_TEMPLATE} bytes"),
            )
            .see(&REFERENCES),
        ),
        _ => {}
    }
}

/// Whether text has tags and parses, or speaks of Python's own names within them.
fn is_template(text: &str) -> bool {
    let tag = |open: &str, close: &str| {
        text.split_once(open)
            .is_some_and(|(_, rest)| rest.contains(close))
    };
    (tag("{%", "%}") || tag("{{", "}}"))
        && (DUNDERS.iter().any(|name| text.contains(name))
            || !is_wide(text) && {
                let known = extensions(text);
                is_endless(&known) || parse(&known, "template", SyntaxConfig::default()).is_ok()
            })
}

/// Whether a line is too long for the parser.
fn is_wide(template: &str) -> bool {
    template.split('\n').any(|line| line.len() > MAX_LINE)
}

/// Whether some expression has more operators, or the template more alternatives, than the parser and the
/// walk follow: each is a step deeper.
fn is_endless(template: &str) -> bool {
    let (mut steps, mut choices) = (0usize, 0usize);
    for token in tokenize(template, false, SyntaxConfig::default()) {
        let Ok((token, _)) = token else {
            return false;
        };
        match token {
            Token::TemplateData(_) | Token::VariableStart | Token::BlockStart => steps = 0,
            Token::Ident("elif") => choices += 1,
            Token::Ident("not" | "and" | "or" | "is" | "in" | "if" | "else") => steps += 1,
            Token::Ident(_)
            | Token::Str(_)
            | Token::String(_)
            | Token::Int(_)
            | Token::Int128(_)
            | Token::Float(_)
            | Token::Comma
            | Token::Colon
            | Token::ParenClose
            | Token::BracketClose => {}
            _ => steps += 1,
        }
        if steps > MAX_CHAIN || choices > MAX_CHAIN {
            return true;
        }
    }
    false
}

/// Puts tags that the parser knows in the place of those that only `transformers` does.
fn extensions(template: &str) -> String {
    let mut known = String::with_capacity(template.len());
    let mut parts = template.split("{%");
    known.push_str(parts.next().unwrap_or_default());
    for part in parts {
        known.push_str("{%");
        let body = part.trim_start_matches(['-', '+']);
        let sign = part.len().saturating_sub(body.len());
        known.push_str(part.get(..sign).unwrap_or_default());
        let trimmed = body.trim_start();
        let replaced = EXTENSIONS.iter().find_map(|(tag, other)| {
            let rest = trimmed.strip_prefix(tag)?;
            rest.trim_start()
                .trim_start_matches(['-', '+'])
                .starts_with("%}")
                .then_some((other, rest))
        });
        if let Some((other, rest)) = replaced {
            known.push(' ');
            known.push_str(other);
            known.push_str(rest);
        } else {
            known.push_str(body);
        }
    }
    known
}

struct Walk<'s, 'r> {
    scan: &'s mut Scan<'r>,
    offset: Option<u64>,
    /// Names that the template itself gives.
    locals: HashSet<String>,
    /// A constant could be a piece of a double-underscore name.
    underscores: bool,
    /// A name is computed.
    computed: bool,
    /// What can be told of expressions without rendering.
    known: Known,
    work: Work,
    macros: Macros,
}

/// What macros of the template do with names.
#[derive(Debug, Default)]
struct Macros {
    /// The names of what they are given.
    parameters: HashSet<String>,
    /// One is given a text that is put together.
    passed: bool,
    /// One takes what it is given as a name.
    named: bool,
}

/// Whether a name is one of Python's own.
fn is_dunder(name: &str) -> bool {
    name.len() > 4 && name.starts_with("__") && name.ends_with("__")
}

impl Walk<'_, '_> {
    fn report(&mut self, mut found: Found) {
        found.offset = self.offset;
        self.scan.found(found);
    }

    fn injection(&mut self, what: String) {
        self.report(
            Found::malicious("jinja/injection", what)
                .why("a template that reaches into Python runs commands where it is rendered")
                .see(&REFERENCES),
        );
    }

    fn unparsed(&mut self, template: &str, error: &str) {
        let inside = template
            .split(['{', '%'])
            .any(|part| part.contains("__") && part.contains(['.', '[', '|', '\'']));
        if inside && DUNDERS.iter().any(|name| template.contains(name)) {
            self.injection(
                "a template that names Python's own names and does not parse".to_owned(),
            );
            return;
        }
        self.report(
            Found::review(
                "jinja/unparsed",
                format!("a template does not parse: {}", shown(error)),
            )
            .why("what it does cannot be told")
            .see(&REFERENCES),
        );
    }

    /// Judges a name of a kind by the rules.
    fn name(&mut self, kind: &str, name: &str) {
        if is_dunder(name) {
            self.injection(format!("the {kind} `{}`", shown(name)));
            return;
        }
        match self.scan.rules.judge("jinja", &format!("{kind}:{name}")) {
            Judgement::Allowed(_) => {}
            Judgement::Sink(sink) => {
                let (severity, can) = (sink.severity, sink.can.clone());
                self.report(
                    Found::malicious(
                        "jinja/injection",
                        format!("the {kind} `{}`: it can {can}", shown(name)),
                    )
                    .severity(severity)
                    .why("a template that reaches into Python runs commands where it is rendered")
                    .see(&REFERENCES),
                );
            }
            Judgement::Unknown => self.report(
                Found::review(
                    "jinja/unknown",
                    format!("the {kind} `{}` is not known", shown(name)),
                )
                .see(&REFERENCES),
            ),
        }
    }

    /// A variable: only those that the engine itself fills can be bad.
    fn variable(&mut self, name: &str) {
        if self.locals.contains(name) {
            return;
        }
        let key = format!("variable:{name}");
        if is_dunder(name) || matches!(self.scan.rules.judge("jinja", &key), Judgement::Sink(_)) {
            self.name("variable", name);
        }
        // How much a template makes is told from its calls of `range`, by this name.
        if name == "range" {
            self.report(
                Found::review("jinja/alias", "`range` is used as a value")
                    .why("under another name it makes as much as it likes, unseen")
                    .see(&REFERENCES),
            );
        }
    }

    fn member(&mut self, name: &str) {
        if name.starts_with('_') && !is_dunder(name) {
            self.report(
                Found::review(
                    "jinja/private",
                    format!("the private name `{}`", shown(name)),
                )
                .see(&REFERENCES),
            );
            return;
        }
        self.name("attribute", name);
    }

    /// Names of any kind, wherever they stand: of keywords, macros, their arguments, blocks. A dictionary makes texts of
    /// its keywords.
    fn identifiers(&mut self, template: &str) {
        for token in tokenize(template, false, SyntaxConfig::default()) {
            let Ok((Token::Ident(name), _)) = token else {
                continue;
            };
            if is_dunder(name) {
                self.injection(format!("the name `{}`", shown(name)));
                return;
            }
            self.underscores |= name.starts_with("__") || name.ends_with("__");
        }
    }

    fn text(&mut self, text: &str) {
        if DUNDERS.iter().any(|name| text.contains(name)) {
            self.injection(format!("the text `{}`", shown(text)));
        }
        self.underscores |= text.starts_with("__") || text.ends_with("__");
    }

    /// What may be put together out of pieces.
    fn assembled(&mut self) {
        if self.underscores && self.computed {
            self.injection("a name with underscores is put together".to_owned());
        }
        if self.macros.passed && self.macros.named {
            self.assembled_name();
        }
    }

    /// A name that is put together in a way that cannot be told.
    fn assembled_name(&mut self) {
        self.report(
            Found::review(
                "jinja/assembled",
                "a name is put together out of pieces, and which cannot be told",
            )
            .why("a template can reach into Python by a name that stands nowhere in it")
            .see(&REFERENCES),
        );
    }

    /// Judges an expression whose value is taken as a name.
    fn computed_name(&mut self, name: &Expr<'_>) {
        let texts = self.known.texts(name);
        for text in &texts {
            self.member(text);
        }
        if texts.is_empty() && self.known.assembles(name) {
            self.assembled_name();
        }
        if let Expr::Var(variable) = name {
            self.macros.named |= self.macros.parameters.contains(variable.id);
        }
    }

    fn targets(&mut self, statement: &Stmt<'_>) {
        let mut bodies: Vec<&[Stmt<'_>]> = Vec::new();
        match statement {
            Stmt::Template(template) => bodies.push(&template.children),
            Stmt::ForLoop(each) => {
                self.target(&each.target);
                self.known.learn_items(&each.target, &each.iter);
                bodies.extend([each.body.as_slice(), &each.else_body]);
            }
            Stmt::IfCond(either) => {
                bodies.extend([either.true_body.as_slice(), &either.false_body]);
            }
            Stmt::WithBlock(with) => {
                for (target, value) in &with.assignments {
                    self.target(target);
                    self.known.learn(target, value);
                }
                bodies.push(&with.body);
            }
            Stmt::Set(set) => {
                self.target(&set.target);
                self.known.learn(&set.target, &set.expr);
            }
            Stmt::SetBlock(set) => {
                self.target(&set.target);
                self.known.assembled_name(&set.target);
                bodies.push(&set.body);
            }
            Stmt::AutoEscape(escape) => bodies.push(&escape.body),
            Stmt::FilterBlock(filter) => bodies.push(&filter.body),
            Stmt::Block(block) => bodies.push(&block.body),
            Stmt::Macro(item) => {
                self.locals.insert(item.name.to_owned());
                for target in &item.args {
                    self.target(target);
                    if let Expr::Var(variable) = target {
                        self.macros.parameters.insert(variable.id.to_owned());
                    }
                }
                let with_default = item.args.len().saturating_sub(item.defaults.len());
                for (target, value) in item.args.iter().skip(with_default).zip(&item.defaults) {
                    self.known.learn(target, value);
                }
                bodies.push(&item.body);
            }
            Stmt::CallBlock(call) => bodies.push(&call.macro_decl.body),
            _ => {}
        }
        for body in bodies {
            for statement in body {
                self.targets(statement);
            }
        }
    }

    fn target(&mut self, target: &Expr<'_>) {
        match target {
            Expr::Var(variable) => {
                self.locals.insert(variable.id.to_owned());
            }
            Expr::List(list) => list.items.iter().for_each(|item| self.target(item)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.target(item)),
            _ => {}
        }
    }

    fn body(&mut self, body: &[Stmt<'_>]) {
        for statement in body {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Stmt<'_>) {
        match statement {
            Stmt::Template(template) => self.body(&template.children),
            Stmt::EmitExpr(emit) => self.expression(&emit.expr),
            Stmt::EmitRaw(_) | Stmt::Continue(_) | Stmt::Break(_) => {}
            Stmt::ForLoop(each) => {
                self.expression(&each.target);
                self.expression(&each.iter);
                self.option(each.filter_expr.as_ref());
                let outside = self.work.loops;
                self.work.loops = outside.saturating_mul(self.rounds(&each.iter));
                if self.work.loops > MAX_WORK {
                    self.work();
                }
                self.body(&each.body);
                self.work.loops = outside;
                self.body(&each.else_body);
            }
            Stmt::IfCond(either) => {
                self.expression(&either.expr);
                self.body(&either.true_body);
                self.body(&either.false_body);
            }
            Stmt::WithBlock(with) => {
                for (target, value) in &with.assignments {
                    self.expression(target);
                    self.expression(value);
                }
                self.body(&with.body);
            }
            Stmt::Set(set) => {
                self.expression(&set.target);
                self.expression(&set.expr);
                self.doubles(&set.expr);
            }
            Stmt::SetBlock(set) => {
                self.expression(&set.target);
                self.option(set.filter.as_ref());
                self.body(&set.body);
            }
            Stmt::AutoEscape(escape) => {
                self.expression(&escape.enabled);
                self.body(&escape.body);
            }
            Stmt::FilterBlock(filter) => {
                self.expression(&filter.filter);
                self.body(&filter.body);
            }
            Stmt::Block(block) => self.body(&block.body),
            Stmt::Import(_) | Stmt::FromImport(_) | Stmt::Extends(_) | Stmt::Include(_) => {
                self.loading();
            }
            Stmt::Macro(item) => self.macro_of(item),
            Stmt::CallBlock(block) => {
                self.call(&block.call);
                self.macro_of(&block.macro_decl);
            }
            Stmt::Do(run) => self.call(&run.call),
        }
    }

    fn loading(&mut self) {
        self.report(
            Found::malicious("jinja/loads", "a template loads another file")
                .severity(Severity::High)
                .why("a chat template stands alone; one that loads files reads what it should not")
                .see(&REFERENCES),
        );
    }

    fn macro_of(&mut self, item: &Macro<'_>) {
        for expression in item.args.iter().chain(&item.defaults) {
            self.expression(expression);
        }
        self.body(&item.body);
    }

    fn option(&mut self, expression: Option<&Expr<'_>>) {
        if let Some(expression) = expression {
            self.expression(expression);
        }
    }

    fn expression(&mut self, expression: &Expr<'_>) {
        match expression {
            Expr::Var(variable) => self.variable(variable.id),
            Expr::Const(constant) => {
                if let Some(text) = constant.value.as_str() {
                    self.text(text);
                }
            }
            Expr::Slice(slice) => {
                self.expression(&slice.expr);
                self.option(slice.start.as_ref());
                self.option(slice.stop.as_ref());
                self.option(slice.step.as_ref());
            }
            Expr::UnaryOp(operation) => self.expression(&operation.expr),
            Expr::BinOp(operation) => {
                self.operation(expression, operation.op);
                self.expression(&operation.left);
                self.expression(&operation.right);
            }
            Expr::Compare(compare) => {
                self.expression(&compare.expr);
                compare.ops.iter().for_each(|op| self.expression(&op.expr));
            }
            Expr::IfExpr(either) => {
                self.expression(&either.test_expr);
                self.expression(&either.true_expr);
                self.option(either.false_expr.as_ref());
            }
            Expr::Filter(filter) => {
                self.filter(filter.name, &filter.args);
                self.option(filter.expr.as_ref());
            }
            Expr::Test(test) => {
                self.name("test", test.name);
                self.expression(&test.expr);
                self.arguments(&test.args);
            }
            Expr::GetAttr(get) => {
                self.member(get.name);
                self.expression(&get.expr);
            }
            Expr::GetItem(get) => {
                self.subscript(&get.subscript_expr);
                self.expression(&get.expr);
            }
            Expr::Call(call) => self.call(call),
            Expr::List(list) => list.items.iter().for_each(|item| self.expression(item)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.expression(item)),
            Expr::Map(map) => {
                for item in map.keys.iter().chain(&map.values) {
                    self.expression(item);
                }
            }
        }
    }

    fn operation(&mut self, expression: &Expr<'_>, kind: BinOpKind) {
        for text in self.known.texts(expression) {
            self.text(&text);
        }
        if self.known.number(expression) > Some(MAX_WORK) {
            self.work();
        }
        let Expr::BinOp(operation) = expression else {
            return;
        };
        let many = |side| self.known.number(side) > Some(MAX_WORK);
        if matches!(kind, BinOpKind::Mul | BinOpKind::Pow)
            && (many(&operation.left)
                || many(&operation.right)
                || self.factors(expression, 0) > MAX_WORK)
        {
            self.work();
        }
    }

    fn subscript(&mut self, subscript: &Expr<'_>) {
        match subscript {
            Expr::Const(constant) => {
                if let Some(text) = constant.value.as_str() {
                    self.member(text);
                }
            }
            computed => {
                self.computed = true;
                self.computed_name(computed);
                self.expression(computed);
            }
        }
    }

    fn filter(&mut self, name: &str, arguments: &[CallArg<'_>]) {
        self.name("filter", name);
        self.computed |= matches!(name, "attr" | "map" | "join" | "format" | "replace");
        if let (
            "map" | "select" | "reject" | "selectattr" | "rejectattr",
            Some(CallArg::Pos(first)),
        ) = (name, arguments.first())
        {
            let texts = self.known.texts(first);
            for text in &texts {
                match name {
                    "map" => self.name("filter", text),
                    "select" | "reject" => self.name("test", text),
                    _ => self.member(text),
                }
            }
            if texts.is_empty() {
                self.assembled_name();
            }
        }
        for argument in arguments {
            if let CallArg::Kwarg("attribute", value) = argument {
                let texts = self.known.texts(value);
                for text in &texts {
                    text.split('.').for_each(|part| self.member(part));
                }
                if texts.is_empty() && self.known.number(value).is_none() {
                    self.assembled_name();
                }
            }
        }
        self.arguments(arguments);
    }

    fn call(&mut self, call: &Call<'_>) {
        match call.identify_call() {
            CallType::Function(name) => {
                if self.locals.contains(name) {
                    self.macros.passed |= call.args.iter().any(|argument| match argument {
                        CallArg::Pos(value)
                        | CallArg::Kwarg(_, value)
                        | CallArg::PosSplat(value)
                        | CallArg::KwargSplat(value) => self.known.assembles(value),
                    });
                } else {
                    self.name("function", name);
                }
                if name == "range" {
                    self.range(&call.args);
                }
            }
            CallType::Method(object, name) => {
                self.name("method", name);
                self.computed |= matches!(name, "join" | "format" | "replace");
                self.expression(object);
            }
            CallType::Block(name) => self.name("block", name),
            CallType::Object(object) => {
                self.report(
                    Found::review("jinja/computed-call", "calls what an expression gives")
                        .see(&REFERENCES),
                );
                self.expression(object);
            }
        }
        self.arguments(&call.args);
    }

    fn arguments(&mut self, arguments: &[CallArg<'_>]) {
        for argument in arguments {
            match argument {
                CallArg::Pos(value)
                | CallArg::Kwarg(_, value)
                | CallArg::PosSplat(value)
                | CallArg::KwargSplat(value) => self.expression(value),
            }
        }
    }
}

/// Names by which templates leave their language.
const DUNDERS: [&str; 16] = [
    "__class__",
    "__init__",
    "__globals__",
    "__builtins__",
    "__base__",
    "__bases__",
    "__mro__",
    "__subclasses__",
    "__dict__",
    "__import__",
    "__getattribute__",
    "__getitem__",
    "__reduce__",
    "__code__",
    "__self__",
    "__module__",
];

#[cfg(test)]
mod tests;
