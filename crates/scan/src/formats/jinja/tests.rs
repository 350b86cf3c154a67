use crate::scan;
use custody_findings::{Report, Rules, Verdict};

static RULES: std::sync::LazyLock<Rules> = std::sync::LazyLock::new(|| Rules::built_in().unwrap());

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
        CHATML,
        LLAMA2,
        LLAMA3,
        MISTRAL,
        QWEN,
        GEMMA,
        ZEPHYR,
        DEEPSEEK,
        PHI,
        COMMAND_R,
        GENERATION,
        GRANITE,
        "{% set i = 1 %}{{ messages[i + 1].content }}{{ messages[loop.index0 - 1] }}{{ x[a] }}",
        "{% for i in range(100) %}{% for j in range(100) %}x{% endfor %}{% endfor %}",
        "{% set content = content ~ message.content ~ '_' %}{{ names[message.role] }}",
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
        "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}",
        "{% for i in range(999)|list %}{% for j in 'x' * 2000 %}x{% endfor %}{% endfor %}",
        "{% set n = 5000 %}{% for i in range(n) %}{% for j in range(1, n) %}{% endfor %}{% endfor %}",
        "{{ 'a' * 1000 * 1000 * 1000 }}",
        "{% for i in range(64) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set u = '_' %}{{ x[u ~ u ~ 'class' ~ u ~ u] }}",
        "{{ x['XXclassXX'|replace('X', '_')] }}",
        "{{ x['__ssalc__'[::-1]] }}",
        "{{ x['__CLASS__'|lower] }}",
        "{{ x[''.join(['_', '_', 'class', '_', '_'])] }}",
        "{{ x[['_' * 2, 'class']|join ~ '__'] }}",
        "{% for u in ['_'] %}{{ x[u * 2 + 'class' + u * 2] }}{% endfor %}",
        "{% with u = '_' %}{{ x[u ~ '_class_' ~ u] }}{% endwith %}",
        "{{ [x]|map(attribute='_' ~ '_class__')|list }}",
        "{{ x[('_' if y else '-') * 2 ~ 'class__'] }}",
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
        "{{ x['a' ~ b] }}",
        "{{ x[[a, b]|join] }}",
        "{{ x['%s' | format(b)] }}",
        "{% set n = 'a' ~ b %}{{ x[n] }}",
        "{% set ns.n = ns.n ~ b %}{{ x[ns.n] }}",
        "{% set n %}a{{ b }}{% endset %}{{ x[n] }}",
        "{% macro f(n) %}{{ x[n] }}{% endmacro %}{{ f('a' ~ b) }}",
        "{% for n in 'abc' %}{{ x[n] }}{% endfor %}",
        "{{ x|map(attribute=b)|list }}",
        "{{ x|map(b)|list }}",
    ] {
        assert_eq!(report(template).verdict, Verdict::Review, "{template}");
    }
    assert_eq!(report(&"x".repeat(2 << 20)).verdict, Verdict::Unscannable);
}

#[test]
fn endless_expressions_end_without_a_crash() {
    for (step, end) in [
        ("{{ a", ""),
        ("~a", " }}"),
        (".b", " }}"),
        ("|trim", " }}"),
        ("()", " }}"),
        ("[0]", " }}"),
        (" if a else b", " }}"),
        (" is string", " }}"),
        (" and b", " }}"),
        (" == b", " }}"),
        (" not", " a }}"),
        (" -", "a }}"),
        (" (", " }}"),
        ("{% if a %}", ""),
        ("{% elif a %}", "{% endif %}"),
        ("{% for a in b %}", ""),
    ] {
        for count in [90, 390, 30_000] {
            let start = match step {
                "{% elif a %}" => "{% if a %}",
                " not" | " -" | " (" => "{{",
                step if step.starts_with('{') => "",
                _ => "{{ a",
            };
            let template = format!("{start}{}{end}", step.repeat(count));
            let report = report(&template);
            assert!(count < 1000 || report.verdict != Verdict::Clean, "{step}");
        }
    }
}

#[test]
fn names_of_any_kind_are_looked_at() {
    for template in [
        "{{ x[dict(__globals__=1)|first] }}",
        "{% macro __class__(x) %}{% endmacro %}",
        "{% macro m(__init__) %}{% endmacro %}",
        "{% set range = x[dict(__globals__=1)|first] %}{{ range('id') }}",
        "{% for range in [x[dict(__globals__=1)|first]] %}{{ range('id') }}{% endfor %}",
        "{{ x[dict(__glob=1)|first ~ 'als__'] }}",
    ] {
        assert_eq!(report(template).verdict, Verdict::Malicious, "{template}");
    }
}

#[test]
fn a_line_without_end_is_no_crash() {
    for open in ["{{ '", "{{ \"", "{% set x = '", "{# ", "{{ "] {
        let template = format!("{open}{}", "a".repeat(70_000));
        assert_eq!(report(&template).verdict, Verdict::Unscannable, "{open}");
    }
    let text = format!("{{{{ '{}", "a".repeat(70_000));
    let verdict = scan("page.txt", &text.as_bytes(), &RULES).verdict;
    assert_eq!(verdict, Verdict::Clean);
}

#[test]
fn range_has_no_other_name() {
    let verdict = report("{% set r = range %}{% for i in r(1000000000) %}x{% endfor %}").verdict;
    assert_eq!(verdict, Verdict::Review);
}
