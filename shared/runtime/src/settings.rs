//! The environment, read once at the cold start.
//!
//! Not here: what the settings mean. Each function's `context.rs` asks for what it needs.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Why a function cannot start with the environment that it was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// The template does not set a variable that the function needs.
    #[error("the environment variable {name} is not set: it should hold {meaning}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// What it should hold.
        meaning: &'static str,
    },
    /// The variable is set to nothing.
    #[error("the environment variable {name} is empty: it should hold {meaning}")]
    Empty {
        /// The variable.
        name: &'static str,
        /// What it should hold.
        meaning: &'static str,
    },
    /// The variable holds something else.
    #[error("the environment variable {name} cannot be read: it should hold {meaning}")]
    Unreadable {
        /// The variable.
        name: &'static str,
        /// What it should hold.
        meaning: &'static str,
    },
}

impl SettingError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "setting.missing",
            Self::Empty { .. } => "setting.empty",
            Self::Unreadable { .. } => "setting.unreadable",
        }
    }
}

/// The environment as it was at the start.
#[derive(Debug, Clone, Default)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// The environment of this process. Variables that are not valid text are left out.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// A variable that must hold something; `meaning` finishes the sentence "it should hold …".
    pub fn text(&self, name: &'static str, meaning: &'static str) -> Result<&str, SettingError> {
        match self.optional(name) {
            Some("") => Err(SettingError::Empty { name, meaning }),
            Some(value) => Ok(value),
            None => Err(SettingError::Missing { name, meaning }),
        }
    }

    /// A variable that must hold a path.
    pub fn path(&self, name: &'static str, meaning: &'static str) -> Result<PathBuf, SettingError> {
        self.text(name, meaning).map(PathBuf::from)
    }

    /// A variable that may be left out.
    pub fn optional(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl FromIterator<(String, String)> for Settings {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        Self(pairs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_variable_is_named_with_what_it_should_hold() {
        let error = Settings::default()
            .text("KINTSUGI_DATA", "the data folder")
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the environment variable KINTSUGI_DATA is not set: it should hold the data folder"
        );
        assert_eq!(error.code(), "setting.missing");
    }

    #[test]
    fn an_empty_variable_is_as_bad_as_a_missing_one() {
        let settings: Settings = [("A".to_owned(), String::new())].into_iter().collect();
        assert_eq!(
            settings.text("A", "a letter").unwrap_err().code(),
            "setting.empty"
        );
    }

    #[test]
    fn a_variable_that_is_set_is_read() {
        let settings: Settings = [("A".to_owned(), "x".to_owned())].into_iter().collect();
        assert_eq!(settings.path("A", "a path").unwrap(), PathBuf::from("x"));
        assert_eq!(settings.optional("B"), None);
    }
}
