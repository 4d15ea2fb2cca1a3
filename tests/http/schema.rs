//! Holds values to the schemas of the OpenAPI document, which are JSON Schema 2020-12 since OpenAPI 3.1. Stricter in
//! one thing: an object may have only the fields that the document describes.

use serde_json::{Value, json};

/// What is wrong with a value, each thing with its place.
pub(crate) fn violations(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut whole = document.clone();
    close(document, &mut whole);
    let mut schema = schema.clone();
    close(document, &mut schema);
    whole["allOf"] = json!([schema]);
    let options = jsonschema::draft202012::options().should_validate_formats(true).should_ignore_unknown_formats(true);
    let validator = options.build(&whole).unwrap_or_else(|error| panic!("{schema} is no schema: {error}"));
    validator.iter_errors(value).map(|error| format!("{at}{}: {error}", error.instance_path())).collect()
}

/// What a `$ref` of the document leads to; anything else is itself.
pub(crate) fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return value };
    let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} is elsewhere"));
    document.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

/// Forbids fields that are not described, wherever a schema describes some. The parts of an `allOf` describe one object
/// together, so the rule stands beside them.
fn close(document: &Value, schema: &mut Value) {
    if describes_fields(document, schema) {
        schema["unevaluatedProperties"] = false.into();
    }
    close_inside(document, schema);
}

fn close_inside(document: &Value, schema: &mut Value) {
    match schema {
        Value::Object(keywords) => {
            for (keyword, rule) in keywords {
                match (keyword.as_str(), rule) {
                    ("allOf", Value::Array(parts)) => {
                        parts.iter_mut().for_each(|part| close_inside(document, part));
                    }
                    // A schema that others refer to is closed where they do.
                    ("schemas", Value::Object(named)) => {
                        named.values_mut().for_each(|named| close_inside(document, named));
                    }
                    // The names below it are not keywords.
                    ("properties", Value::Object(fields)) => {
                        fields.values_mut().for_each(|field| close(document, field));
                    }
                    (_, rule) => close(document, rule),
                }
            }
        }
        Value::Array(schemas) => schemas.iter_mut().for_each(|schema| close(document, schema)),
        _ => {}
    }
}

fn describes_fields(document: &Value, schema: &Value) -> bool {
    let target = resolved(document, schema);
    let parts = target["allOf"].as_array().into_iter().flatten();
    target["properties"].is_object() || parts.into_iter().any(|part| describes_fields(document, part))
}

#[test]
fn violations_are_found_at_every_depth() {
    let document = json!({ "components": { "schemas": {
        "Whole": { "allOf": [{ "$ref": "#/components/schemas/Part" }, { "properties": { "b": { "enum": ["x"] } } }] },
        "Part": {
            "type": "object",
            "required": ["a"],
            "properties": { "a": { "type": "array", "items": { "type": "integer", "minimum": 1 } } },
        },
        "Open": { "type": "object", "required": ["a"] },
    } } });
    let broken = |name: &str, value: Value| {
        let schema = json!({ "$ref": format!("#/components/schemas/{name}") });
        violations(&document, &schema, &value, "v")
    };
    // A field whose value is wrong counts as not described too: the place of its object is reported beside its own.
    for (name, value, places) in [
        ("Whole", json!({ "a": [1, 2], "b": "x" }), &[][..]),
        ("Whole", json!({ "a": [1, 0, "2", 1.5] }), &["v", "v/a/1", "v/a/2", "v/a/3"]),
        ("Whole", json!({ "a": [], "b": "y" }), &["v", "v/b"]),
        ("Whole", json!({ "a": [], "b": "x", "c": 1 }), &["v"]),
        ("Whole", json!({}), &["v"]),
        ("Part", json!([]), &["v"]),
        ("Part", json!({ "a": [], "b": "x" }), &["v"]),
        ("Open", json!({ "a": [], "b": "x" }), &[]),
    ] {
        let found = broken(name, value.clone());
        let at: Vec<&str> = found.iter().map(|one| one.split(':').next().unwrap()).collect();
        assert_eq!(at, places, "{value}: {found:?}");
    }
}
