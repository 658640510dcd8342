//! The shape of password protection, which `runtime::dto::PasswordProtection` reads.

use crate::validation::{Object, Rule};

/// The shape of `passwordProtection`. The location is checked by the runtime, after everything structural.
pub(crate) fn shape() -> Rule {
    Rule::Object(
        Object::new()
            .required("password", Rule::Text(1), "At least one character.")
            .optional("passwordIsPin", Rule::OnlyTrue, "Then the password has 4 to 16 digits.")
            .optional(
                "passwordLocationIndicator",
                Rule::Any,
                "Where the person will find the password: a number from 50 to 99, or Self, Letter, RegistrationLetter, \
                 Email, SMS or Website.",
            ),
    )
}
