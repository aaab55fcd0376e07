//! `section!` and `words!`: one table makes struct or enum, reader, defaults and schema.

/// Makes a section of the file. Each key has a kind (see `kinds`) and a need:
/// `required`, `optional` (the field stays empty), or `default(value)`, which also makes a method with
/// the field's name that gives the effective value. A key that is a Rust keyword has its TOML name in
/// brackets. Keys in `later` are refused with the given remedy instead of "unknown".
macro_rules! section {
    (
        $(#[doc = $doc:literal])+
        $vis:vis $name:ident = $what:literal {
            $(
                $(#[doc = $field_doc:literal])+
                $field:ident $([$toml:literal])? : $kind:ty => $need:ident $(($default:expr))?;
            )+
        }
        $(later { $($later:literal: $why:literal;)+ })?
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, Default)]
        $vis struct $name {
            /// Where the section's heading stands.
            #[allow(dead_code, reason = "not every section is pointed at")]
            $vis here: $crate::problem::Span,
            /// Keys that are there and could not be read.
            wrong: Vec<&'static str>,
            $($(#[doc = $field_doc])+ $vis $field: Option<$crate::raw::At<<$kind as $crate::raw::Kind>::Value>>,)+
        }

        impl $name {
            pub(crate) const KEYS: &'static [&'static str] = &[$($crate::raw::section::key!($field $($toml)?),)+];

            /// True when `key` is there and could not be read: what depends on it cannot be checked.
            #[allow(dead_code, reason = "not every section has checks that depend on one key")]
            $vis fn is_wrong(&self, key: &str) -> bool {
                self.wrong.contains(&key)
            }

            $vis fn read_table(
                table: &toml::de::DeTable<'_>,
                span: $crate::problem::Span,
                report: &mut $crate::problem::Report,
            ) -> Self {
                let mut table = $crate::raw::tree::Table { table, span, what: $what, wrong: Vec::new(), meant: Vec::new() };
                table.refuse_unknown(Self::KEYS, &[$($(($later, $why),)+)?], report);
                $(let $field = table.field::<$kind>(
                    $crate::raw::section::key!($field $($toml)?),
                    $crate::raw::section::required!($need),
                    report,
                );)+
                Self { here: span, wrong: table.wrong, $($field,)+ }
            }

            $($crate::raw::section::effective!($vis $field, $kind $(, $default)?);)+
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let mut properties = serde_json::Map::new();
                let mut required = Vec::new();
                $(
                    let key = $crate::raw::section::key!($field $($toml)?);
                    let mut field = generator.subschema_for::<$kind>();
                    field.insert("description".into(), concat!($($field_doc,)+).trim().into());
                    $(field.insert("default".into(), $crate::raw::section::default_json(&$default));)?
                    properties.insert(key.into(), field.to_value());
                    if $crate::raw::section::required!($need) {
                        required.push(key);
                    }
                )+
                schemars::json_schema!({
                    "type": "object",
                    "description": concat!($($doc,)+).trim(),
                    "properties": properties,
                    "required": required,
                    "additionalProperties": false,
                })
            }
        }

        impl $crate::raw::Kind for $name {
            type Value = Self;
            const EXAMPLE: &'static str = $what;

            fn read(
                value: &toml::Spanned<toml::de::DeValue<'_>>,
                report: &mut $crate::problem::Report,
            ) -> Option<Self> {
                if let Some(table) = value.get_ref().as_table() {
                    return Some(Self::read_table(table, value.span().into(), report));
                }
                $crate::raw::tree::wrong_type::<Self>(value, "a table", report);
                None
            }
        }
    };
}

/// The name of a field in the file.
macro_rules! key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $toml:literal) => {
        $toml
    };
}

/// Whether a need is `required`.
macro_rules! required {
    (required) => {
        true
    };
    ($need:ident) => {
        false
    };
}

/// The method that gives a field's effective value, for fields with a default.
macro_rules! effective {
    ($vis:vis $field:ident, $kind:ty) => {};
    ($vis:vis $field:ident, $kind:ty, $default:expr) => {
        /// The value as written, or the default.
        $vis fn $field(&self) -> <$kind as $crate::raw::Kind>::Value {
            self.$field.as_ref().map_or($default, |at| at.value.clone())
        }
    };
}

/// Makes an enum whose variants are words in the file. Words in `later` are refused with a remedy.
macro_rules! words {
    (
        $(#[doc = $doc:literal])+
        pub enum $name:ident {
            $($(#[doc = $variant_doc:literal])+ $variant:ident = $word:literal,)+
        }
        $(later { $($later:literal: $why:literal;)+ })?
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum $name {
            $($(#[doc = $variant_doc])+ $variant,)+
        }

        impl $name {
            /// Every value, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            const WORDS: &'static [&'static str] = &[$($word,)+];

            /// The word in the configuration.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "enum": Self::WORDS })
            }
        }

        impl $crate::raw::Kind for $name {
            type Value = Self;
            const EXAMPLE: &'static str = $crate::raw::section::first!($(concat!("\"", $word, "\""),)+);

            fn read(
                value: &toml::Spanned<toml::de::DeValue<'_>>,
                report: &mut $crate::problem::Report,
            ) -> Option<Self> {
                let later: &[(&str, &str)] = &[$($(($later, $why),)+)?];
                let word = $crate::raw::kinds::word::<Self>(value, Self::WORDS, later, report)?;
                Self::ALL.iter().copied().find(|known| known.as_str() == word)
            }
        }
    };
}

macro_rules! first {
    ($first:expr, $($rest:expr,)*) => {
        $first
    };
}

pub(crate) use {effective, first, key, required, section, words};

/// A default as the schema shows it.
pub(crate) fn default_json<T: serde::Serialize>(value: &T) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or_default()
}
