//! The description of the API: OpenAPI 3.1, made from the table of operations and from the types that their handlers take
//! and give.
//!
//! It says nothing of one workspace or one release, so a server gives it to everybody.

use std::collections::BTreeSet;

use custody_types::Purpose;
use custody_wire::{HEADER_PURPOSE, PROBLEM_JSON, ProblemDetails};
use http::Method;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::asked::Describe;
use crate::operations::{ENTRANCES, OPERATIONS, Shape};
use crate::told::LINES;

/// Where the types are described.
const SCHEMAS: &str = "#/components/schemas/";
/// Where those of requests are, until it is known which differ.
const SENT: &str = "#/components/sent/";

/// Returns the description of everything that can be asked of a server.
pub fn openapi() -> Value {
    let mut types = Types::new();
    let mut paths = Map::new();
    let operations = OPERATIONS.iter().map(|operation| Described {
        method: &operation.method,
        path: operation.path,
        id: operation.id,
        summary: operation.summary,
        shape: operation.shape,
        actions: Some(
            operation
                .actions
                .iter()
                .map(|action| action.name())
                .collect(),
        ),
    });
    let entrances = ENTRANCES.iter().map(|entrance| Described {
        method: &entrance.method,
        path: entrance.path,
        id: entrance.id,
        summary: entrance.summary,
        shape: entrance.shape,
        actions: None,
    });
    for described in operations.chain(entrances) {
        let operation = described.operation(&mut types);
        let methods = paths.entry(described.path).or_insert_with(|| json!({}));
        insert(
            methods,
            &described.method.as_str().to_lowercase(),
            operation,
        );
    }
    for (path, id, summary) in [
        ("/health", "health", "Say that the server runs"),
        ("/ready", "ready", "Say whether the server takes work"),
    ] {
        let text = json!({"text/plain": {"schema": {"type": "string"}}});
        paths.insert(
            path.to_owned(),
            json!({"get": {
                "operationId": id,
                "summary": summary,
                "tags": ["server"],
                "security": [],
                "responses": {
                    "200": {"description": "yes", "content": text},
                    "503": {"description": "no", "content": text},
                },
            }}),
        );
    }
    let purpose = types.of_requests(SchemaGenerator::subschema_for::<Purpose>);
    let problem = types.of_answers(SchemaGenerator::subschema_for::<ProblemDetails>);
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Custody",
            "summary": "The chain of custody for machine learning",
            "description": "Whole numbers are written without a fraction: `1`, not `1.0`. A request with a field that its operation does not know is refused.",
            "version": "1",
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {
                "type": "http",
                "scheme": "bearer",
                "description": "A token of an account, or of a session of a person.",
            }},
            "parameters": {"purpose": {
                "name": HEADER_PURPOSE,
                "in": "header",
                "description": "What the data is asked for: a purpose that the policies know.",
                "schema": purpose,
            }},
            "responses": {"problem": {
                "description": "A problem (RFC 9457): what went wrong, why, and the way out.",
                "content": {PROBLEM_JSON: {"schema": problem}},
            }},
        },
    });
    types.put_into(&mut document);
    document
}

struct Described<'a> {
    method: &'a Method,
    path: &'a str,
    id: &'a str,
    summary: &'a str,
    shape: Shape,
    /// The actions that the door is asked for; `None`: it is not known yet who asks.
    actions: Option<Vec<&'static str>>,
}

impl Described<'_> {
    fn operation(&self, types: &mut Types) -> Value {
        let tag = self.path.split('/').nth(2).unwrap_or_default();
        let mut operation = json!({
            "operationId": self.id,
            "summary": self.summary,
            "tags": [tag],
            "parameters": self.parameters(types),
            "responses": self.responses(types),
        });
        match &self.actions {
            Some(actions) => {
                let asked = actions.join("`, `");
                let text = format!("The policies are asked for `{asked}`.");
                insert(&mut operation, "description", json!(text));
            }
            None => insert(&mut operation, "security", json!([])),
        }
        if let Some((media_type, describe)) = self.shape.asks.body {
            let schema = describe.map(|describe| types.of_requests(describe));
            let content = content(media_type, schema);
            let body = json!({"required": true, "content": content});
            insert(&mut operation, "requestBody", body);
        }
        operation
    }

    fn parameters(&self, types: &mut Types) -> Vec<Value> {
        let mut parameters = Vec::new();
        if let Some(describe) = self.shape.asks.id {
            let name = self.path.split(['{', '}']).nth(1);
            let schema = types.of_requests(describe);
            parameters.push(json!({
                "name": name,
                "in": "path",
                "required": true,
                "schema": schema,
            }));
        }
        if let Some(describe) = self.shape.asks.query {
            parameters.extend(types.fields(describe));
        }
        if self.actions.is_some() {
            parameters.push(json!({"$ref": "#/components/parameters/purpose"}));
        }
        parameters
    }

    fn responses(&self, types: &mut Types) -> Value {
        let mut responses = Map::new();
        for tells in self.shape.tells {
            let mut response = json!({"description": tells.what});
            if let Some((media_type, describe)) = tells.body {
                let schema = describe.map(|describe| types.of_answers(describe));
                insert(&mut response, "content", content(media_type, schema));
            }
            responses.insert(tells.status.as_str().to_owned(), response);
        }
        for status in ["4XX", "5XX"] {
            let problem = json!({"$ref": "#/components/responses/problem"});
            responses.insert(status.to_owned(), problem);
        }
        Value::Object(responses)
    }
}

/// A body with its schema; bytes have none. Of lines each is described, as OpenAPI 3.2 does by `itemSchema`.
fn content(media_type: &str, schema: Option<Value>) -> Value {
    let name = if media_type == LINES {
        "x-itemSchema"
    } else {
        "schema"
    };
    json!({media_type: schema.map_or_else(|| json!({}), |schema| json!({name: schema}))})
}

fn insert(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(fields) = object {
        fields.insert(name.to_owned(), value);
    }
}

/// The types that are described. What is sent and what is answered are described apart: a field that may be left out of a
/// request is always there in an answer.
struct Types {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
}

impl Types {
    fn new() -> Self {
        let below = |path: &str| {
            let path = path.trim_matches(['#', '/']).to_owned();
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = format!("/{path}").into();
            })
        };
        Self {
            requests: below(SENT).for_deserialize().into_generator(),
            answers: below(SCHEMAS).for_serialize().into_generator(),
        }
    }

    fn of_requests(&mut self, describe: Describe) -> Value {
        describe(&mut self.requests).to_value()
    }

    fn of_answers(&mut self, describe: Describe) -> Value {
        describe(&mut self.answers).to_value()
    }

    /// Describes the fields of a query as parameters.
    fn fields(&mut self, describe: Describe) -> Vec<Value> {
        let described = describe(&mut self.requests).to_value();
        let required = described.get("required").and_then(Value::as_array);
        let fields = described.get("properties").and_then(Value::as_object);
        let fields = fields.into_iter().flatten().map(|(name, schema)| {
            let mut schema = present(schema);
            let description = schema
                .as_object_mut()
                .and_then(|schema| schema.remove("description"));
            let mut field = json!({"name": name, "in": "query", "schema": schema});
            if required.is_some_and(|required| required.contains(&json!(name))) {
                insert(&mut field, "required", json!(true));
            }
            if let Some(description) = description {
                insert(&mut field, "description", description);
            }
            field
        });
        fields.collect()
    }

    /// Puts the types into `document`, and lets it refer to them: those that are sent as they are answered stand there once.
    fn put_into(mut self, document: &mut Value) {
        let mut schemas = self.answers.take_definitions(true);
        let sent = self.requests.take_definitions(true);
        let mut other: BTreeSet<String> = BTreeSet::new();
        loop {
            let differs = |(name, schema): &(&String, &Value)| {
                let as_answered = referring((*schema).clone(), &BTreeSet::new());
                let answered = schemas.get(*name);
                answered.is_some_and(|answered| *answered != as_answered || refers(schema, &other))
            };
            let found: BTreeSet<_> = sent
                .iter()
                .filter(differs)
                .map(|(name, _)| name.clone())
                .collect();
            if found == other {
                break;
            }
            other = found;
        }
        for (name, schema) in sent {
            schemas.insert(name_of_sent(&name, &other), schema);
        }
        insert_below(document, "components", "schemas", Value::Object(schemas));
        *document = referring(document.take(), &other);
    }
}

/// What a type is called where it is sent.
fn name_of_sent(name: &str, other: &BTreeSet<String>) -> String {
    if other.contains(name) {
        format!("{name}Sent")
    } else {
        name.to_owned()
    }
}

/// Whether a schema of a request refers to one of `other`.
fn refers(schema: &Value, other: &BTreeSet<String>) -> bool {
    match schema {
        Value::Object(fields) => fields.iter().any(|(name, value)| match value {
            Value::String(target) if name == "$ref" => target
                .strip_prefix(SENT)
                .is_some_and(|target| other.contains(target)),
            _ => refers(value, other),
        }),
        Value::Array(values) => values.iter().any(|value| refers(value, other)),
        _ => false,
    }
}

/// Returns what is described with references to where the types stand, without the links of the program's documentation, and
/// as it is read: numbers up to those that their type holds, and of what is told twice one.
/// `other`: the types that are sent otherwise than they are answered.
fn referring(described: Value, other: &BTreeSet<String>) -> Value {
    match described {
        Value::Object(mut fields) => {
            fields.remove("uniqueItems");
            let greatest = match fields.get("format").and_then(Value::as_str) {
                Some("uint32") => Some(u64::from(u32::MAX)),
                Some("uint64") => Some(u64::MAX),
                _ => None,
            };
            if let Some(greatest) = greatest {
                fields.entry("maximum").or_insert(json!(greatest));
            }
            let fields = fields.into_iter().map(|(name, value)| {
                let value = match (name.as_str(), value) {
                    ("$ref", Value::String(target)) => match target.strip_prefix(SENT) {
                        Some(name) => json!(format!("{SCHEMAS}{}", name_of_sent(name, other))),
                        None => Value::String(target),
                    },
                    ("description", Value::String(text)) => {
                        json!(text.replace("[`", "`").replace("`]", "`"))
                    }
                    (_, value) => referring(value, other),
                };
                (name, value)
            });
            Value::Object(fields.collect())
        }
        Value::Array(values) => {
            let values = values.into_iter().map(|value| referring(value, other));
            Value::Array(values.collect())
        }
        plain => plain,
    }
}

fn insert_below(object: &mut Value, name: &str, field: &str, value: Value) {
    if let Some(below) = object.get_mut(name) {
        insert(below, field, value);
    }
}

/// A field of a query is there or not: there is no `null`.
fn present(schema: &Value) -> Value {
    let mut schema = schema.clone();
    let Some(fields) = schema.as_object_mut() else {
        return schema;
    };
    fields.remove("default");
    if let Some(Value::Array(kinds)) = fields.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [kind] = kinds.as_slice() {
            let kind = kind.clone();
            fields.insert("type".to_owned(), kind);
        }
    }
    let Some(Value::Array(mut kinds)) = fields.remove("anyOf") else {
        return schema;
    };
    kinds.retain(|kind| *kind != json!({"type": "null"}));
    match kinds.as_slice() {
        [Value::Object(kind)] => fields.extend(kind.clone()),
        _ => drop(fields.insert("anyOf".to_owned(), json!(kinds))),
    }
    schema
}
