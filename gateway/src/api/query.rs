//! The parameters of a request, as documents for programs: what they should not be is said with the name of the one that is wrong.

use core::error::Error as _;

use axum::{
    extract::{FromRequestParts, Query},
    http::{StatusCode, request::Parts},
    response::Response,
};
use serde::{Deserialize, de::DeserializeOwned};

use super::server::problem;

/// Parameters as [`Query`] reads them; refusals are problem documents.
///
/// Their structs deny unknown fields: a parameter that is misspelt must not mean what happens without it.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let refused = match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => return Ok(Self(asked)),
            Err(refused) => refused,
        };
        let why = refused.source().map_or_else(|| refused.to_string(), ToString::to_string);
        Err(problem(StatusCode::BAD_REQUEST, "bad_query", in_words(&why)))
    }
}

/// What serde says of fields is true of parameters.
fn in_words(why: &str) -> String {
    let why = why.replace(" field", " parameter").replace("there are no parameters", "none is taken here");
    let said: String = why.chars().take(300).collect();
    format!("the parameters behind the `?` are not understood: {said}")
}

/// No parameters at all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}
