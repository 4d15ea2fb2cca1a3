//! Holds values to the schemas of the OpenAPI document, as far as the document uses JSON Schema. A keyword that is not
//! known here ends the test: nothing passes because it was not looked at.

use serde_json::Value;

/// What is wrong with a value, each thing with its place.
pub(crate) fn violations(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    look(document, schema, value, at, &mut found);
    found
}

/// What a `$ref` of the document leads to; anything else is itself.
pub(crate) fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return value };
    let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} is elsewhere"));
    document.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

fn look(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let schema = resolved(document, schema);
    let number = value.as_f64().unwrap_or(f64::NAN);
    for (keyword, rule) in schema.as_object().unwrap() {
        let holds = match keyword.as_str() {
            "description" => true,
            "type" => is_of_type(value, rule.as_str().unwrap()),
            "enum" => rule.as_array().unwrap().contains(value),
            "const" => rule == value,
            "minimum" => number >= rule.as_f64().unwrap(),
            "maximum" => number <= rule.as_f64().unwrap(),
            "maxLength" => value.as_str().is_some_and(|text| text.len() as u64 <= rule.as_u64().unwrap()),
            "pattern" => value.as_str().is_some_and(|text| matches(rule.as_str().unwrap(), text)),
            "required" => rule.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
            "items" => {
                for (place, item) in value.as_array().into_iter().flatten().enumerate() {
                    look(document, rule, item, &format!("{at}[{place}]"), found);
                }
                true
            }
            "properties" => {
                for (name, field) in value.as_object().into_iter().flatten() {
                    let at = format!("{at}.{name}");
                    match rule.get(name) {
                        Some(schema) => look(document, schema, field, &at, found),
                        None => found.push(format!("{at} is not in the document")),
                    }
                }
                true
            }
            unknown => panic!("the document uses {unknown}, which this test does not know"),
        };
        if !holds {
            found.push(format!("{at}: {value} breaks {keyword} {rule}"));
        }
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        unknown => panic!("{unknown} is no type"),
    }
}

/// The few patterns of the document.
fn matches(pattern: &str, text: &str) -> bool {
    let is_id =
        |text: &str| text.len() == 22 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    match pattern {
        "^[A-Za-z0-9_-]{22}$" => is_id(text),
        "^/session/[A-Za-z0-9_-]{22}$" => text.strip_prefix("/session/").is_some_and(is_id),
        "^\"[^\"]+\"$" => {
            text.len() > 2 && text.starts_with('"') && text.ends_with('"') && text.matches('"').count() == 2
        }
        "^v=0" => text.starts_with("v=0"),
        "^# HELP " => text.starts_with("# HELP "),
        "a=ice-ufrag:" => text.contains("a=ice-ufrag:"),
        unknown => panic!("teach this test the pattern {unknown}"),
    }
}

#[test]
fn what_breaks_a_schema_is_found_wherever_it_is() {
    let document = serde_json::json!({ "here": {
        "type": "object",
        "required": ["a"],
        "properties": { "a": { "type": "array", "items": { "type": "integer", "minimum": 1 } }, "b": { "enum": ["x"] } },
    } });
    let schema = serde_json::json!({ "$ref": "#/here" });
    let broken = |value: Value| violations(&document, &schema, &value, "v").len();
    assert_eq!(broken(serde_json::json!({ "a": [1, 2], "b": "x" })), 0);
    for (value, count) in [
        (serde_json::json!({ "a": [1, 0, "2", 1.5] }), 4),
        (serde_json::json!({ "a": [], "b": "y", "c": 1 }), 2),
        (serde_json::json!({}), 1),
        (serde_json::json!([]), 2),
    ] {
        assert_eq!(broken(value.clone()), count, "{value}: {:?}", violations(&document, &schema, &value, "v"));
    }
}
