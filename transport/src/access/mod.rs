//! Who may read a token, and what an attempt counts.
//!
//! [`Attempt::judge`] decides, without storage; [`Verdict::settle`] has a [`Ledger`] store what follows from the decision before it
//! is answered. [`Uses`] counts how often a token is used. Whoever holds tokens decides by these rules: the backbone, and a node that
//! serves its own.

mod claim_text;
mod guesses;
mod ledger;
mod uses;

pub use guesses::{GUESSING_WINDOW, Guesser, Guesses, TooManyGuesses, WRONG_PASSWORDS};
pub use ledger::{FailedAttempt, Ledger, Outcome};
pub use uses::{
    ClaimEnd, LEASE, Lease, MAX_CLAIMS, MAX_CLAIMS_WITHOUT_LIMIT, NoUseLeft, RENEWED_AFTER, UnknownClaim, Uses,
};

use crate::wire::{Address, Timestamp};

/// Wrong passwords that lock a token.
pub const MAX_FAILED_ATTEMPTS: u32 = 100;

/// What is known of a token and of who asks for it.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// Who asks; `None` for somebody who is not logged in.
    pub caller: Option<&'a Address>,
    /// Who made the token; `None` while a token made anonymously has no owner.
    pub creator: Option<&'a Address>,
    /// Whether the caller's identity has read the token before.
    pub is_allocated: bool,
    /// The only identity it is for.
    pub for_identity: Option<&'a Address>,
    /// Whether the password fits; true if there is none.
    pub password_fits: bool,
    /// Wrong passwords so far.
    pub failed_attempts: u32,
    /// Since when it can be read.
    pub not_before: Option<Timestamp>,
    /// Until when it can be read.
    pub expires_at: Timestamp,
    /// Whether its creator revoked it.
    pub is_revoked: bool,
    /// The current time.
    pub now: Timestamp,
}

/// What follows from an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The token is shown, nothing is recorded.
    Show,
    /// The token is shown, and the identity may read it again without password and after its expiry.
    ShowAndAllocate,
    /// For this caller the token does not exist.
    Hide,
    /// There were too many wrong passwords.
    Locked,
    /// The password is wrong, which counts.
    WrongPassword,
}

impl Verdict {
    /// Whether the caller was asked for a password, so that it matters how many it has tried. For this `has_password` says whether
    /// the token has one. Who has tried too many wrong ones is refused, be this one right or wrong, and it does not count.
    #[must_use]
    pub fn answers_password(self, has_password: bool) -> bool {
        has_password && matches!(self, Self::Show | Self::ShowAndAllocate | Self::WrongPassword)
    }
}

impl Attempt<'_> {
    /// Decides a read. The first condition that holds wins.
    #[must_use]
    pub fn judge(&self) -> Verdict {
        if self.is_exempt() {
            return Verdict::Show;
        }
        if self.is_withheld() {
            return Verdict::Hide;
        }
        if let Some(refused) = self.judge_stranger(self.for_identity.is_some() && self.caller != self.for_identity) {
            return refused;
        }
        if self.caller.is_none() { Verdict::Show } else { Verdict::ShowAndAllocate }
    }

    /// Whether the caller is shown the token whatever the password and the number of failures are.
    #[must_use]
    pub fn is_exempt(&self) -> bool {
        self.caller == self.creator || (self.caller.is_some() && self.is_allocated && !self.is_withheld())
    }

    /// Decides whether the content may be set. Neither the creator nor those who read the token are exempt from
    /// anything but `forIdentity`.
    #[must_use]
    pub fn judge_update(&self) -> Verdict {
        let is_for_other =
            self.for_identity.is_some() && self.caller != self.for_identity && self.caller != self.creator;
        if self.is_withheld() {
            return Verdict::Hide;
        }
        self.judge_stranger(is_for_other).unwrap_or(Verdict::Show)
    }

    /// Whether it is hidden from all but its creator: those who have read it before are no exception.
    #[must_use]
    pub fn is_withheld(&self) -> bool {
        self.caller != self.creator && (self.is_revoked || self.not_before.is_some_and(|begin| begin > self.now))
    }

    fn judge_stranger(&self, is_for_other: bool) -> Option<Verdict> {
        if self.expires_at <= self.now {
            Some(Verdict::Hide)
        } else if self.failed_attempts >= MAX_FAILED_ATTEMPTS {
            Some(Verdict::Locked)
        } else if is_for_other {
            Some(Verdict::Hide)
        } else if !self.password_fits {
            Some(Verdict::WrongPassword)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(digit: char) -> Address {
        format!("did:e:localhost:dids:{}", digit.to_string().repeat(22)).parse().unwrap()
    }

    /// caller, allocated, for, password fits, failures, expired, verdict
    type Row = (Option<char>, bool, Option<char>, bool, u32, bool, Verdict);

    /// Every row of the decision table, in both directions. The creator is `a`.
    #[rustfmt::skip]
    const TABLE: &[Row] = &[
        // The creator sees it, whatever happened.
        (Some('a'), false, None,      true,  0,   false, Verdict::Show),
        (Some('a'), false, Some('b'), false, 100, true,  Verdict::Show),
        // So does everybody who read it before.
        (Some('b'), true,  None,      false, 100, true,  Verdict::Show),
        (Some('c'), true,  Some('b'), false, 0,   false, Verdict::Show),
        // An allocation means nothing for somebody who is not logged in.
        (None,      true,  None,      false, 0,   false, Verdict::WrongPassword),
        // Expired comes before locked, locked before forIdentity, forIdentity before the password.
        (Some('b'), false, None,      true,  0,   true,  Verdict::Hide),
        (Some('b'), false, None,      true,  100, true,  Verdict::Hide),
        (Some('b'), false, None,      true,  100, false, Verdict::Locked),
        (Some('c'), false, Some('b'), true,  100, false, Verdict::Locked),
        (Some('c'), false, Some('b'), true,  0,   false, Verdict::Hide),
        (Some('c'), false, Some('b'), false, 0,   false, Verdict::Hide),
        (None,      false, Some('b'), true,  0,   false, Verdict::Hide),
        (Some('b'), false, Some('b'), false, 0,   false, Verdict::WrongPassword),
        (Some('b'), false, None,      false, 99,  false, Verdict::WrongPassword),
        (None,      false, None,      false, 0,   false, Verdict::WrongPassword),
        // What is left is shown, and remembered for identities.
        (None,      false, None,      true,  99,  false, Verdict::Show),
        (Some('b'), false, None,      true,  99,  false, Verdict::ShowAndAllocate),
        (Some('b'), false, Some('b'), true,  0,   false, Verdict::ShowAndAllocate),
    ];

    fn judge(creator: Option<char>, row: &Row, decide: fn(&Attempt<'_>) -> Verdict) -> Verdict {
        let now = Timestamp::from_unix_milliseconds(1_000);
        let (creator, caller, for_identity) = (creator.map(address), row.0.map(address), row.2.map(address));
        decide(&Attempt {
            caller: caller.as_ref(),
            creator: creator.as_ref(),
            is_allocated: row.1,
            for_identity: for_identity.as_ref(),
            password_fits: row.3,
            failed_attempts: row.4,
            not_before: Some(now),
            expires_at: if row.5 { now } else { Timestamp::NEVER },
            is_revoked: false,
            now,
        })
    }

    #[test]
    fn reads_are_decided_as_the_table_says() {
        for row in TABLE {
            assert_eq!(judge(Some('a'), row, |attempt| attempt.judge()), row.6, "{row:?}");
        }
    }

    #[test]
    fn an_anonymous_caller_counts_as_creator_of_a_token_without_owner() {
        let row = (None, false, Some('b'), false, 100, true, Verdict::Show);
        assert_eq!(judge(None, &row, |attempt| attempt.judge()), Verdict::Show);
        assert_eq!(judge(Some('a'), &row, |attempt| attempt.judge()), Verdict::Hide);
    }

    #[test]
    fn what_is_revoked_or_not_valid_yet_is_hidden_from_all_but_its_creator() {
        let now = Timestamp::from_unix_milliseconds(1_000);
        let (creator, reader) = (address('a'), address('b'));
        let tomorrow = Some(Timestamp::from_unix_milliseconds(1_001));
        for (not_before, is_revoked, verdict) in
            [(Some(now), false, Verdict::Show), (None, true, Verdict::Hide), (tomorrow, false, Verdict::Hide)]
        {
            for caller in [None, Some(&creator), Some(&reader)] {
                // A wrong password is not even counted.
                let attempt = Attempt {
                    caller,
                    creator: Some(&creator),
                    is_allocated: true,
                    for_identity: None,
                    password_fits: verdict == Verdict::Show,
                    failed_attempts: 0,
                    not_before,
                    expires_at: Timestamp::NEVER,
                    is_revoked,
                    now,
                };
                let is_creator = caller == Some(&creator);
                assert_eq!(attempt.judge(), if is_creator { Verdict::Show } else { verdict }, "{attempt:?}");
                assert_eq!(attempt.is_exempt(), is_creator || (verdict == Verdict::Show && caller.is_some()));
                if !is_creator {
                    assert_eq!(attempt.judge_update(), verdict);
                }
            }
        }
    }

    #[test]
    fn updates_exempt_nobody_from_the_password() {
        let wrong = |caller, for_identity| (caller, true, for_identity, false, 0, false, Verdict::WrongPassword);
        for row in [wrong(Some('a'), None), wrong(Some('b'), None), wrong(Some('a'), Some('b'))] {
            assert_eq!(judge(Some('a'), &row, |attempt| attempt.judge_update()), row.6, "{row:?}");
        }
        let other = (Some('c'), true, Some('b'), true, 0, false, Verdict::Hide);
        assert_eq!(judge(Some('a'), &other, |attempt| attempt.judge_update()), Verdict::Hide);
        let expired = (Some('a'), true, None, true, 0, true, Verdict::Hide);
        assert_eq!(judge(Some('a'), &expired, |attempt| attempt.judge_update()), Verdict::Hide);
    }
}
