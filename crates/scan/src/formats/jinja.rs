//! Chat templates: programs in Jinja that a tokenizer runs. Parsed, walked and judged by the rules; never
//! rendered.

use std::collections::HashSet;

use minijinja::machinery::ast::{BinOpKind, Call, CallArg, CallType, Expr, Macro, Stmt};
use minijinja::machinery::parse;
use minijinja::syntax::SyntaxConfig;

use crate::cursor::Cursor;
use crate::report::Severity;
use crate::rules::Judgement;
use crate::scan::{Found, Scan, shown};
use crate::source::Source;

/// How long a template may be, in bytes.
pub(crate) const MAX_TEMPLATE: usize = 1 << 20;
/// How many steps or copies a constant may ask for.
const MAX_WORK: u64 = 1_000_000;

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
    };
    if template.len() > MAX_TEMPLATE {
        walk.report(Found::unscannable(
            "limits/size",
            format!("a template of more than {MAX_TEMPLATE} bytes"),
        ));
        return;
    }
    let known = extensions(template);
    match parse(&known, "template", SyntaxConfig::default()) {
        Ok(tree) => {
            walk.targets(&tree);
            walk.statement(&tree);
            walk.assembled();
        }
        Err(error) => walk.unparsed(template, &error.to_string()),
    }
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
            || parse(&extensions(text), "template", SyntaxConfig::default()).is_ok())
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
}

/// Whether a name is one of Python's own.
fn is_dunder(name: &str) -> bool {
    name.len() > 4 && name.starts_with("__") && name.ends_with("__")
}

/// A constant as far as it can be told without rendering.
enum Folded {
    Text(String),
    Number(u64),
}

fn fold(expression: &Expr<'_>, depth: usize) -> Option<Folded> {
    if depth > 200 {
        return None;
    }
    match expression {
        Expr::Const(constant) => match constant.value.as_str() {
            Some(text) => Some(Folded::Text(text.to_owned())),
            None => u64::try_from(constant.value.as_i64()?)
                .ok()
                .map(Folded::Number),
        },
        Expr::BinOp(operation) => {
            let left = fold(&operation.left, depth + 1)?;
            let right = fold(&operation.right, depth + 1)?;
            match (operation.op, left, right) {
                (BinOpKind::Add | BinOpKind::Concat, Folded::Text(left), Folded::Text(right)) => {
                    Some(Folded::Text(left + &right))
                }
                (BinOpKind::Mul, Folded::Text(text), Folded::Number(count)) => {
                    let count = usize::try_from(count.min(8)).unwrap_or(8);
                    (text.len() < 64).then(|| Folded::Text(text.repeat(count)))
                }
                (BinOpKind::Mul, Folded::Number(left), Folded::Number(right)) => {
                    Some(Folded::Number(left.saturating_mul(right)))
                }
                (BinOpKind::Add, Folded::Number(left), Folded::Number(right)) => {
                    Some(Folded::Number(left.saturating_add(right)))
                }
                (BinOpKind::Pow, Folded::Number(left), Folded::Number(right)) => {
                    let power = u32::try_from(right).unwrap_or(u32::MAX);
                    Some(Folded::Number(left.saturating_pow(power)))
                }
                _ => None,
            }
        }
        _ => None,
    }
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

    fn work(&mut self) {
        self.report(
            Found::malicious("jinja/work", "a template asks for endless work")
                .severity(Severity::High)
                .why("rendering it takes the memory or the time of the server")
                .see(&["CWE-400", "AML.T0029"]),
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
    }

    fn targets(&mut self, statement: &Stmt<'_>) {
        let mut bodies: Vec<&[Stmt<'_>]> = Vec::new();
        match statement {
            Stmt::Template(template) => bodies.push(&template.children),
            Stmt::ForLoop(each) => {
                self.target(&each.target);
                bodies.extend([each.body.as_slice(), &each.else_body]);
            }
            Stmt::IfCond(either) => {
                bodies.extend([either.true_body.as_slice(), &either.false_body]);
            }
            Stmt::WithBlock(with) => {
                with.assignments
                    .iter()
                    .for_each(|(target, _)| self.target(target));
                bodies.push(&with.body);
            }
            Stmt::Set(set) => self.target(&set.target),
            Stmt::SetBlock(set) => {
                self.target(&set.target);
                bodies.push(&set.body);
            }
            Stmt::AutoEscape(escape) => bodies.push(&escape.body),
            Stmt::FilterBlock(filter) => bodies.push(&filter.body),
            Stmt::Block(block) => bodies.push(&block.body),
            Stmt::Macro(item) => {
                self.locals.insert(item.name.to_owned());
                item.args.iter().for_each(|target| self.target(target));
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
                self.body(&each.body);
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
        match fold(expression, 0) {
            Some(Folded::Text(text)) => self.text(&text),
            Some(Folded::Number(number)) if number > MAX_WORK => self.work(),
            _ => {}
        }
        let Expr::BinOp(operation) = expression else {
            return;
        };
        let many = |side| matches!(fold(side, 0), Some(Folded::Number(n)) if n > MAX_WORK);
        if matches!(kind, BinOpKind::Mul | BinOpKind::Pow)
            && (many(&operation.left) || many(&operation.right))
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
                if let Some(Folded::Text(text)) = fold(computed, 0) {
                    self.member(&text);
                }
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
            && let Some(Folded::Text(text)) = fold(first, 0)
        {
            match name {
                "map" => self.name("filter", &text),
                "select" | "reject" => self.name("test", &text),
                _ => self.member(&text),
            }
        }
        for argument in arguments {
            if let CallArg::Kwarg("attribute", value) = argument
                && let Some(Folded::Text(text)) = fold(value, 0)
            {
                text.split('.').for_each(|part| self.member(part));
            }
        }
        self.arguments(arguments);
    }

    fn call(&mut self, call: &Call<'_>) {
        match call.identify_call() {
            CallType::Function(name) => {
                if !self.locals.contains(name) {
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

    fn range(&mut self, arguments: &[CallArg<'_>]) {
        let long = arguments.iter().any(|argument| {
            matches!(argument, CallArg::Pos(value)
                if matches!(fold(value, 0), Some(Folded::Number(n)) if n > MAX_WORK))
        });
        if long {
            self.work();
        }
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
mod tests {
    use crate::{Report, Rules, Verdict, scan};

    static RULES: std::sync::LazyLock<Rules> =
        std::sync::LazyLock::new(|| Rules::built_in().unwrap());

    /// Scans a template within a GGUF file.
    fn report(template: &str) -> Report {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(0u64.to_le_bytes());
        bytes.extend(1u64.to_le_bytes());
        for text in ["tokenizer.chat_template", template] {
            bytes.extend((text.len() as u64).to_le_bytes());
            bytes.extend(text.as_bytes());
            if text != template {
                bytes.extend(8u32.to_le_bytes());
            }
        }
        scan("m.gguf", &bytes, &RULES)
    }

    const CHATML: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
    const LLAMA2: &str = "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}";
    const LLAMA3: &str = "{{- bos_token }}\n{%- if not date_string is defined %}{%- if strftime_now is defined %}{%- set date_string = strftime_now('%d %b %Y') %}{%- else %}{%- set date_string = '26 Jul 2024' %}{%- endif %}{%- endif %}{%- if custom_tools is defined %}{%- set tools = custom_tools %}{%- endif %}{%- if not tools is defined %}{%- set tools = none %}{%- endif %}{%- for t in tools %}{{- t | tojson(indent=4) }}{%- endfor %}{%- for message in messages %}{%- if not (message.role == 'ipython' or 'tool_calls' in message) %}{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' }}{%- elif 'tool_calls' in message %}{%- if not message.tool_calls|length == 1 %}{{- raise_exception('one call') }}{%- endif %}{%- set tool_call = message.tool_calls[0].function %}{%- for arg_name, arg_val in tool_call.arguments | items %}{{- arg_name + '=\"' + arg_val + '\"' }}{%- if not loop.last %}{{- ', ' }}{%- endif %}{%- endfor %}{%- elif message.content is mapping or message.content is iterable %}{{- message.content | tojson }}{%- endif %}{%- endfor %}";
    const MISTRAL: &str = "{%- set user_messages = loop_messages | selectattr('role', 'equalto', 'user') | list %}{%- set ns = namespace() %}{%- set ns.index = 0 %}{%- for message in loop_messages %}{%- if not (message.role == 'tool' or (message.tool_calls is defined and message.tool_calls is not none)) %}{%- if (message['role'] == 'user') != (ns.index % 2 == 0) %}{{- raise_exception('x') }}{%- endif %}{%- set ns.index = ns.index + 1 %}{%- endif %}{%- endfor %}{%- for tool in tools %}{%- set tool = tool.function %}{{- '{\"type\": \"function\", \"function\": {' }}{%- for key, val in tool.items() if key != 'return' %}{%- if val is string %}{{- '\"' + key + '\": \"' + val + '\"' }}{%- else %}{{- '\"' + key + '\": ' + val|tojson }}{%- endif %}{%- if not loop.last %}{{- ', ' }}{%- endif %}{%- endfor %}{{- '}}' }}{%- endfor %}{{ message['content']|trim ~ eos_token }}";
    const QWEN: &str = "{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}{%- for message in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}{%- if ns.multi_step_tool and message.role == 'user' and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}{%- set ns.multi_step_tool = false %}{%- set ns.last_query_index = index %}{%- endif %}{%- endfor %}{%- for message in messages %}{%- set content = message.content %}{%- if '</think>' in content %}{%- set reasoning_content = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}{%- set content = content.split('</think>')[-1].lstrip('\n') %}{%- endif %}{%- if loop.last or (not loop.last and reasoning_content) %}{{- loop.previtem.role }}{{- loop.nextitem['role'] }}{%- endif %}{%- if (messages[loop.index0 - 1].role != 'tool') %}{{ content }}{%- endif %}{%- endfor %}{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}";
    const GEMMA: &str = "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% for item in message['content'] if item['type'] == 'image' %}{{ '<start_of_image>' }}{% endfor %}{% endfor %}";
    const ZEPHYR: &str = "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}";
    const DEEPSEEK: &str = "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(is_first=false, is_tool=false, system_prompt='') %}{%- for message in messages %}{%- if message['role'] == 'system' %}{% set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor %}{{bos_token}}{{ns.system_prompt}}{%- for message in messages %}{%- if message['role'] == 'assistant' and message['content'] is none %}{%- for tool in message['tool_calls']%}{{'<|tool_call_begin|>' + tool['type'] + tool['function']['name'] + '\\n' + '```json' + '\\n' + tool['function']['arguments']}}{%- endfor %}{%- else %}{% set content = message['content'] %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{{content}}{%- endif %}{%- endfor -%}";
    const PHI: &str = "{% for message in messages %}{% if message['role'] == 'system' and message['content'] and 'tools' in message and message['tools'] is not none %}{{ '<|' + message['role'] + '|>' + message['content'] + message['tools'] }}{% else %}{{ '<|' ~ message['role'] ~ '|>' }}{% endif %}{% endfor %}{{ eos_token if not add_generation_prompt else '<|assistant|>' }}";
    const COMMAND_R: &str = "{%- macro json_to_python_type(json_spec) %}{%- set basic = {'string': 'str', 'number': 'float', 'integer': 'int'} %}{%- if basic[json_spec.type] is defined %}{{- basic[json_spec.type] }}{%- elif json_spec.type == 'array' %}{{- 'List[' + json_to_python_type(json_spec['items']) + ']' }}{%- elif json_spec.type is iterable and json_spec.type is not string %}{{- 'Union[' }}{%- for t in json_spec.type %}{{- json_to_python_type({'type': t}) }}{%- if not loop.last %}{{- ', ' }}{%- endif %}{%- endfor %}{{- ']' }}{%- else %}{{- 'Any' }}{%- endif %}{%- endmacro %}{% for tool in tools %}{{ tool.function.name | upper | replace('-', '_') }}{% set sep = joined | default('', true) %}{% endfor %}{{ documents | map(attribute='title') | join(', ') }}{% filter indent(2) %}x{% endfilter %}{% call json_to_python_type(x) %}y{% endcall %}";
    const GENERATION: &str = "{%- for message in messages -%}{%- if message.role == 'assistant' -%}{%- generation -%}{{ message.content }}{%- endgeneration -%}{% generation %}a{% endgeneration %}{%- endif -%}{%- if loop.index > 3 -%}{% break %}{%- endif -%}{%- endfor -%}";
    const GRANITE: &str = "{# a comment with __class__ #}{%- set x = messages | length %}{%- if tools and (messages | selectattr('role', 'eq', 'system') | list | length) > 0 %}{{ tools | map('tojson') | join('\\n') }}{% endif %}{% raw %}{{ ''.__class__ }}{% endraw %}{% with a = 1 %}{{ a }}{% endwith %}{% set y %}text{% endset %}{{ y | indent(4, true) }}{{ message.content if message.content is string else message.content[0].text }}{% for i in range(0, 3) %}{{ i }}{% endfor %}__init__ in plain text";

    #[test]
    fn the_templates_of_real_models_are_clean() {
        for template in [
            CHATML, LLAMA2, LLAMA3, MISTRAL, QWEN, GEMMA, ZEPHYR, DEEPSEEK, PHI, COMMAND_R,
            GENERATION, GRANITE,
        ] {
            let report = report(template);
            assert_eq!(
                report.verdict,
                Verdict::Clean,
                "{template}\n{:#?}",
                report.findings
            );
        }
    }

    #[test]
    fn what_leaves_the_language_is_malicious() {
        for template in [
            "{{ ''.__class__ }}",
            "{{ ''['__class__'] }}",
            "{{ x|attr('__init__') }}",
            "{{ x|attr(y) }}",
            "{{ x|attr('__cla' ~ 'ss__') }}",
            "{{ x['__cla' + 'ss__'] }}",
            "{{ x[['__', 'class', '__']|join] }}",
            "{% set u = '_' * 2 %}{{ x[u ~ 'class' ~ u] }}",
            "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
            "{{ lipsum.__globals__ }}",
            "{{ lipsum() }}",
            "{% set ns = self.__dict__ %}",
            "{{ self }}",
            "{{ request.application }}",
            "{{ config.items() }}",
            "{{ x.mro() }}",
            "{{ [x]|map(attribute='__class__')|list }}",
            "{{ [x]|map('attr', 'y')|list }}",
            "{{ x|map(attribute='a.__class__')|list }}",
            "{% include '/etc/passwd' %}",
            "{% import 'os' as os %}",
            "{% from 'a' import b %}",
            "{% extends 'a' %}",
            "{% for i in range(10**9) %}x{% endfor %}",
            "{% for i in range(1000000000) %}x{% endfor %}",
            "{{ 'a' * 1000000000 }}",
            "{% if false %}{% macro f(a=''.__class__) %}{% endmacro %}{% endif %}",
            "{{ broken ''.__class__.__mro__ }}",
            r"{{ x['\x5f\x5fclass\x5f\x5f'] }}",
            r"{{ x['\u005f\u005fclass\u005f\u005f'] }}",
        ] {
            let report = report(template);
            assert_eq!(
                report.verdict,
                Verdict::Malicious,
                "{template}\n{:#?}",
                report.findings
            );
        }
    }

    #[test]
    fn templates_that_are_files_are_judged() {
        let injection = "{{ cycler.__init__.__globals__.os.popen('id').read() }}";
        let check = |name: &str, text: &str, expected| {
            let report = scan(name, &text.as_bytes(), &RULES);
            assert_eq!(report.verdict, expected, "{name} {text}");
        };
        for name in ["chat_template.jinja", "a.j2", "A.JINJA2", "prompt.txt"] {
            check(name, injection, Verdict::Malicious);
            check(name, CHATML, Verdict::Clean);
        }
        // As YAML and as JSON it would be something else.
        for text in [
            format!("a: b\nc: \"{injection}\"\n"),
            format!("[\"{injection}\"]"),
        ] {
            check("chat_template.jinja", &text, Verdict::Malicious);
        }
        check("chat_template.jinja", "{% broken", Verdict::Review);
        check("notes.txt", "a set {{1, 2}} and {% broken", Verdict::Clean);
        check("README.md", injection, Verdict::Clean);
        check("x.jinja", &"x".repeat(2 << 20), Verdict::Unscannable);
    }

    #[test]
    fn what_is_not_known_is_for_a_person() {
        for template in [
            "{% broken",
            "{{ f(x) }}",
            "{{ x|unknown }}",
            "{{ x is unknown }}",
            "{{ x.unknown() }}",
            "{{ x._private }}",
            "{{ x['y']() }}",
        ] {
            assert_eq!(report(template).verdict, Verdict::Review, "{template}");
        }
        assert_eq!(report(&"x".repeat(2 << 20)).verdict, Verdict::Unscannable);
    }
}
