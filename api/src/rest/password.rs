//! The shape of password protection, which `runtime::dto::PasswordProtection` reads.

use crate::validation::{Object, ValueRule};

/// The shape of `passwordProtection`. The location is checked by the runtime, after everything structural.
pub(crate) fn shape() -> ValueRule {
    ValueRule::Object(
        Object::new()
            .required("password", ValueRule::Text(1), "At least one character.")
            .optional("passwordIsPin", ValueRule::OnlyTrue, "Then the password has 4 to 16 digits.")
            .optional(
                "passwordLocationIndicator",
                ValueRule::Any,
                "Where the person will find the password: a number from 50 to 99, or Self, Letter, RegistrationLetter, \
                 Email, SMS or Website.",
            ),
    )
}
