//! From the errors of the AWS clients to those of the ports.
//!
//! The clients have tried again already (three times, with pauses) what AWS calls throttled or transient.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use kintsugi_domain::ports::PortError;
use std::error::Error;
use std::fmt;

/// Codes by which AWS says that the request itself cannot be right. Everything else may pass: a deployment mends roles
/// and names, so a refused permission or a missing table is a matter of time, not of the message in hand.
const WRONG_REQUEST: &[&str] = &[
    "EntityTooLarge",
    "InvalidMessageContents",
    "InvalidParameter",
    "InvalidParameterException",
    "InvalidParameterValue",
    "InvalidRequest",
    "KeyTooLongError",
    "MalformedPolicyDocumentException",
    "ValidationException",
];

/// What AWS calls the error, when it was AWS that answered.
pub(crate) fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<&str> {
    error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
}

/// Whether AWS answered with one of these codes. Codes of the older SQS protocol end the same way:
/// `AWS.SimpleQueueService.NonExistentQueue`.
pub(crate) fn is<E: ProvideErrorMetadata>(error: &SdkError<E>, codes: &[&str]) -> bool {
    code(error).is_some_and(|code| codes.contains(&code.rsplit(['.', '#']).next().unwrap_or(code)))
}

/// The port's error for a failed call.
pub(crate) fn failed<E>(what: impl fmt::Display, error: &SdkError<E>) -> PortError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let why = why(error);
    if is(error, WRONG_REQUEST) {
        return PortError::broken(what, why);
    }
    PortError::unavailable(what, why)
}

fn why<E>(error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let Some(answer) = error.as_service_error() {
        let code = answer.code().unwrap_or("error without a code");
        return match answer.message() {
            Some(message) => format!("{code}: {message}"),
            None => code.to_owned(),
        };
    }
    let mut why = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        why.push_str(": ");
        why.push_str(&error.to_string());
        cause = error.source();
    }
    why
}
