//! What is wrong with a document that was sent, and at which of its members.

use axum::http::StatusCode;
use domain::about::Fault;
use domain::misfit::Misfit;
use serde::Serialize;

use super::Problem;

/// Faults of fields that are told at once.
const FIELD_ERRORS_MAX: usize = 50;

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct FieldError {
    /// Where it stands (RFC 6901).
    pointer: String,
    code: &'static str,
    detail: String,
}

impl From<Fault> for FieldError {
    fn from(Fault { pointer, code, detail }: Fault) -> Self {
        Self { pointer, code, detail }
    }
}

impl Problem {
    /// The body is not what its type says.
    pub(crate) fn malformed_body(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed_body", detail)
    }

    /// The body can be read, but not be meant.
    pub(crate) fn invalid_body(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", detail)
    }

    /// The same for one member of it, which `detail` says what it is to be of.
    pub(crate) fn invalid_member(pointer: &str, code: &'static str, detail: impl Into<String>) -> Self {
        let (name, detail) = (pointer.rsplit('/').next().unwrap_or_default(), detail.into());
        Self::invalid_body(format!("{name} {detail}")).at(vec![Fault::new(pointer, code, detail)])
    }

    /// A document that is not of the form that is described.
    pub(crate) fn wrong_document(misfit: &Misfit) -> Self {
        match misfit.fault() {
            Some(fault) => Self::invalid_body(misfit.plain()).at(vec![fault]),
            None => Self::malformed_body(misfit.plain()),
        }
    }

    /// Fields of a document that cannot be what they are wished to be.
    pub(crate) fn invalid_fields(faults: Vec<Fault>) -> Self {
        let first = faults.first().map_or_else(String::new, |fault| format!("{} {}", fault.pointer, fault.detail));
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_fields", first).at(faults)
    }

    /// Another asset is known under this id.
    pub(super) fn external_id_taken(scheme: &str) -> Self {
        let fault = Fault::new(format!("/external_ids/{scheme}"), "external_id_taken", "another asset has this id");
        let told = format!("another asset has this id under {scheme}");
        Self::new(StatusCode::CONFLICT, "external_id_taken", told).at(vec![fault])
    }

    /// The same, with what is wrong with which members.
    pub(crate) fn at(self, faults: Vec<Fault>) -> Self {
        Self { errors: faults.into_iter().take(FIELD_ERRORS_MAX).map(FieldError::from).collect(), ..self }
    }

    /// The same, for one member of which it says all.
    pub(crate) fn at_member(self, pointer: &str, code: &'static str) -> Self {
        let fault = Fault::new(pointer, code, self.detail.clone());
        self.at(vec![fault])
    }

    /// What all of these are, or the first problem with what the others say of members, too.
    pub(crate) fn all<T>(results: impl IntoIterator<Item = Result<T, Self>>) -> Result<Vec<T>, Self> {
        let (mut taken, mut refused) = (Vec::new(), None::<Self>);
        for result in results {
            match (result, &mut refused) {
                (Ok(one), _) => taken.push(one),
                (Err(problem), None) => refused = Some(problem),
                (Err(problem), Some(first)) => {
                    first.errors.extend(problem.errors);
                    first.errors.truncate(FIELD_ERRORS_MAX);
                }
            }
        }
        refused.map_or(Ok(taken), Err)
    }

    /// What is wrong with fields, and where.
    #[cfg(test)]
    pub(crate) fn faults(&self) -> Vec<(&str, &'static str)> {
        self.errors.iter().map(|error| (error.pointer.as_str(), error.code)).collect()
    }
}
