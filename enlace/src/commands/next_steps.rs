//! What the sender can do after sharing a file, in commands that can be pasted.

use std::path::Path;

use runtime::dto::Token;
use runtime::{PassedOn, leads_to_this_machine};

use super::Context;
use crate::args::NodeOptions;
use crate::receive::place;

/// Who keeps a reference usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServedBy {
    /// This process, with the backbone in it.
    This,
    /// Another process of this machine, with this id.
    Other(u32),
    /// A standalone backbone.
    Backbone,
    /// This process, without a backbone.
    Alone,
}

/// What the steps depend on.
pub(crate) struct NextSteps<'a> {
    /// The token of the reference.
    pub(crate) token: &'a Token,
    /// The reference that is passed on.
    pub(crate) passed_on: &'a PassedOn,
    /// ID of the file.
    pub(crate) file: &'a str,
    /// Who keeps it usable.
    pub(crate) served_by: ServedBy,
    /// Options that lead another command to the same node, each after a blank.
    pub(crate) options: String,
}

impl NextSteps<'_> {
    /// Lines of text: how long it works, what the receiver needs, and how to revoke the reference.
    pub(crate) fn lines(&self) -> Vec<String> {
        let Self { token, file, options, passed_on, .. } = self;
        let served_by = match self.served_by {
            ServedBy::This if token.notify.is_some() => {
                let until = "serving until nobody else can use the reference, or until Ctrl-C";
                format!("{until}; to continue later: enlace serve{options}")
            }
            ServedBy::This => format!("serving until Ctrl-C; to continue later: enlace serve{options}"),
            ServedBy::Other(pid) => {
                format!("process {pid} serves it as long as it runs; to continue later: enlace serve{options}")
            }
            ServedBy::Backbone => "the backbone keeps the file: the reference also works after Ctrl-C".to_owned(),
            ServedBy::Alone => "the file is at no backbone: the reference works until Ctrl-C".to_owned(),
        };
        let take_back = match token.is_ephemeral {
            _ if self.served_by == ServedBy::Alone => "to revoke it, end this command".to_owned(),
            true => format!("to revoke it, delete the file: enlace files delete {file}{options}"),
            false => format!("to revoke it: enlace tokens revoke {}{options}", token.id),
        };
        let options = receiver_options(&passed_on.reference);
        let mut lines =
            vec![served_by, self.receiver(), format!("  enlace receive '{}'{options}", passed_on.reference)];
        if passed_on.is_direct && passed_on.for_others {
            let local = "--local lets peers connect from this machine only";
            lines.push(format!("other machines connect to this one directly; {local}"));
        }
        lines.push(take_back);
        lines
    }

    fn receiver(&self) -> String {
        let place = if self.passed_on.for_others { "" } else { " on this machine" };
        let who = match &self.token.for_identity {
            Some(address) => format!("only {address} can receive it"),
            None => "to receive it".to_owned(),
        };
        let kind = self.token.password_protection.as_ref().map(|protection| match protection.password_is_pin {
            true => "PIN",
            false => "password",
        });
        match kind {
            Some(kind) => {
                format!("{who}{place} with enlace and the {kind}; send the {kind} separately from the reference:")
            }
            None => format!("{who}{place} with enlace:"),
        }
    }
}

/// The options that name a node, each after a blank.
pub(crate) fn options_of(context: &Context, node: &NodeOptions) -> String {
    options(context.global.data_dir.as_deref(), node)
}

fn options(data_dir: Option<&Path>, node: &NodeOptions) -> String {
    let paths = [("--data-dir", data_dir), ("--config", node.config.as_deref())];
    let options = paths.iter().filter_map(|(name, path)| Some(format!(" {name} {}", shell_word((*path)?))));
    let plain = node.allow_plain_http.then(|| " --allow-plain-http".to_owned());
    options.chain(plain).collect()
}

/// The options that a receiver needs for a reference, each after a blank.
fn receiver_options(reference: &str) -> String {
    let private = if place::is_in_private_network(reference) { " --allow-private" } else { "" };
    format!("{}{private}", plain_http(reference))
}

/// The option without which nobody uses a backbone of another machine that encrypts nothing, after a blank.
pub(super) fn plain_http(url: &str) -> &'static str {
    let is_plain = url.starts_with("http://") && !leads_to_this_machine(url);
    if is_plain { " --allow-plain-http" } else { "" }
}

/// A path as one word of a shell.
pub(super) fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | ':');
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use runtime::dto::{Notify, Password, PasswordProtection};
    use serde_json::json;

    use super::*;

    fn token(url: &str) -> Token {
        let address = "did:e:localhost:dids:0123456789abcdef012345";
        serde_json::from_value(json!({
            "id": "TOKabcdefghijklmno12", "isOwn": true, "createdBy": address, "createdByDevice": "DVCabcdefghijklmno12",
            "createdAt": "2030-01-01", "expiresAt": "2030-01-08", "content": {}, "isEphemeral": false,
            "reference": { "truncated": "x", "url": url },
        }))
        .unwrap()
    }

    fn lines(token: &Token, served_by: ServedBy) -> String {
        lines_of(token, &PassedOn::of_token(token, None, false), served_by)
    }

    fn lines_of(token: &Token, passed_on: &PassedOn, served_by: ServedBy) -> String {
        let file = "FILabcdefghijklmno12";
        NextSteps { token, passed_on, file, served_by, options: " --data-dir d".to_owned() }.lines().join("\n")
    }

    #[test]
    fn the_sender_learns_how_to_continue_and_how_to_revoke_the_reference() {
        let mut token = token("http://localhost:4710/r/x#y");
        assert_eq!(
            lines(&token, ServedBy::This),
            "serving until Ctrl-C; to continue later: enlace serve --data-dir d\n\
             to receive it on this machine with enlace:\n  \
               enlace receive 'http://localhost:4710/r/x#y'\n\
             to revoke it: enlace tokens revoke TOKabcdefghijklmno12 --data-dir d"
        );
        assert!(lines(&token, ServedBy::Other(7)).starts_with("process 7 serves it"));
        let watched = Token { notify: Some(Notify::Each), ..token.clone() };
        assert!(
            lines(&watched, ServedBy::This).starts_with("serving until nobody else can use the reference, or until")
        );
        token.is_ephemeral = true;
        assert!(lines(&token, ServedBy::This).ends_with("enlace files delete FILabcdefghijklmno12 --data-dir d"));
        let password = Password::new("9753").unwrap();
        token.password_protection = Some(PasswordProtection::new(password.clone()));
        assert!(lines(&token, ServedBy::This).contains("with enlace and the password; send the password separately"));
        token.password_protection = PasswordProtection::pin(password).ok();
        token.for_identity = Some("did:e:localhost:dids:0123456789abcdef012345".parse().unwrap());
        let text = lines(&token, ServedBy::This);
        assert!(
            text.contains("only did:e:localhost:dids:0123456789abcdef012345 can receive it on this machine"),
            "{text}"
        );
        assert!(text.contains("the PIN;") && !text.contains("9753"), "{text}");
    }

    #[test]
    fn a_backbone_elsewhere_keeps_the_reference() {
        let text = lines(&token("https://b.example.org/r/x#y"), ServedBy::Backbone);
        assert!(text.contains("after Ctrl-C") && text.contains("to receive it with enlace:"), "{text}");
    }

    #[test]
    fn a_reference_that_leads_here_directly_is_for_other_machines() {
        let reference = "http://localhost:4710/r/x?direct=z#y".to_owned();
        let passed_on = PassedOn { reference, is_direct: true, for_others: true };
        let token = token("http://localhost:4710/r/x#y");
        let text = lines_of(&token, &passed_on, ServedBy::Alone);
        assert!(
            text.contains("until Ctrl-C") && text.contains("receive 'http://localhost:4710/r/x?direct=z#y'"),
            "{text}"
        );
        assert!(
            text.contains("--local") && text.ends_with("end this command") && !text.contains("on this machine with")
        );
        let local = lines_of(&token, &PassedOn { for_others: false, ..passed_on }, ServedBy::This);
        assert!(local.contains("on this machine with enlace") && !local.contains("--local"), "{local}");
    }

    #[test]
    fn commands_have_the_options_that_they_need() {
        for (url, options) in [
            ("http://localhost:4710/r/x#y", ""),
            ("https://b.example.org/r/x#y", ""),
            ("http://b.example.org/r/x#y", " --allow-plain-http"),
            ("http://192.168.1.2:4710/r/x#y", " --allow-plain-http --allow-private"),
            ("https://[fd00::1]/r/x#y", " --allow-private"),
        ] {
            let text = lines(&token(url), ServedBy::Backbone);
            assert!(text.contains(&format!("  enlace receive '{url}'{options}\n")), "{text}");
        }
        let node = |plain| NodeOptions { allow_plain_http: plain, ..NodeOptions::default() };
        assert_eq!(options(Some(Path::new("a b")), &node(true)), " --data-dir 'a b' --allow-plain-http");
        assert_eq!(options(None, &node(false)), "");
    }

    #[test]
    fn paths_can_be_pasted() {
        for (path, word) in [("a/b-c.d", "a/b-c.d"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("$(x)", "'$(x)'")] {
            assert_eq!(shell_word(Path::new(path)), word);
        }
    }
}
