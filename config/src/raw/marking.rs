//! DSCPs, by number or by name, and what the outside of a tunnel shows of them.

use std::borrow::Cow;

use net::Dscp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::{Spanned, de::DeValue};

use super::{
    kinds::Int,
    tree::{Kind, quoted, suggest, wrong_type},
};
use crate::{
    model::Marking,
    problem::{Code, Report},
};

/// A code point: its number or its name.
#[derive(Debug)]
pub(crate) enum CodePoint {}

/// As [`CodePoint`], or what the packet inside has.
#[derive(Debug)]
pub(crate) enum Mark {}

fn names() -> Vec<&'static str> {
    Dscp::NAMED.iter().map(|(name, _)| *name).collect()
}

fn read<K: Kind>(value: &Spanned<DeValue<'_>>, known: &[&str], report: &mut Report) -> Option<Dscp> {
    if value.get_ref().is_integer() {
        return Int::<u8, 0, 63>::read(value, report).and_then(Dscp::new);
    }
    let Some(text) = value.get_ref().as_str() else {
        wrong_type::<K>(value, "a number or a name", report);
        return None;
    };
    let found = text.parse().ok();
    if found.is_none() {
        let message = format!("{} is not the name of a DSCP", quoted(text));
        let finding = report.add(Code::UnknownWord, value.span().into(), message);
        suggest(finding, text, known, "a number from 0 to 63 without quotes, or one of");
    }
    found
}

impl JsonSchema for CodePoint {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "CodePoint".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "enum": names() }, Int::<u8, 0, 63>::json_schema(generator)] })
    }
}

impl Kind for CodePoint {
    type Value = Dscp;
    const EXAMPLE: &'static str = "\"EF\"";

    fn read(value: &Spanned<DeValue<'_>>, report: &mut Report) -> Option<Dscp> {
        read::<Self>(value, &names(), report)
    }
}

impl JsonSchema for Mark {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Mark".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let point = CodePoint::json_schema(generator);
        json_schema!({ "anyOf": [{ "enum": [Marking::COPY] }, point] })
    }
}

impl Kind for Mark {
    type Value = Marking;
    const EXAMPLE: &'static str = "\"copy\"";

    fn read(value: &Spanned<DeValue<'_>>, report: &mut Report) -> Option<Marking> {
        if value.get_ref().as_str() == Some(Marking::COPY) {
            return Some(Marking::Copy);
        }
        let known: Vec<_> = core::iter::once(Marking::COPY).chain(names()).collect();
        read::<Self>(value, &known, report).map(Marking::Fixed)
    }
}
