//! Whether a token that somebody presents opens what is asked for: a pure decision.

use transport::access::{NoUseLeft, Uses};
use transport::wire::Timestamp;

use super::claim::{Counting, check_claim};
use super::terms::Terms;
use crate::storage::ContentUse;

/// Why a token that was presented does not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenRefusal {
    /// There is no such token, it was revoked, or the secret is wrong: not told apart.
    // The message has as many bytes as the next one, and so has the whole answer.
    #[error("The file token is invalid.")]
    Invalid,
    /// Its time is over. Only those are told who have the right secret.
    #[error("The file token is expired.")]
    Expired,
    /// Its time has not come.
    #[error("The file token is not valid yet.")]
    NotYetValid,
    /// It is not for this use.
    #[error("The file token does not allow this use of the file.")]
    NotAllowed,
    /// No use of it is left.
    #[error("No use of the file token is left.")]
    Exhausted,
    /// So many claims of it are open that no further one is remembered.
    #[error("Too many claims of the file token are open; try again when some of them have ended.")]
    TooManyClaims,
    /// Its uses are counted, and the request does not say under which claim.
    #[error(
        "The uses of the file token are counted. Claim one by POST /v1/tokens/claims and send its id as X-Claim, or send X-Claim: auto."
    )]
    ClaimRequired,
    /// Its uses are counted, and the claim is not one of them: nobody has leased it, or its lease was over before content was sent.
    #[error("There is no such claim of the file token, or its lease is over. Claim a use by POST /v1/tokens/claims.")]
    UnknownClaim,
}

/// What is known of a token that was presented, and what for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// None if there is no such token.
    pub(crate) terms: Option<&'a Terms>,
    pub(crate) is_revoked: bool,
    /// Whether the secret is that of the token.
    pub(crate) secret_fits: bool,
    /// None for a claim, which is for any use that the token allows.
    pub(crate) endpoint: Option<ContentUse>,
    pub(crate) counting: &'a Counting,
    pub(crate) uses: &'a Uses,
    pub(crate) now: Timestamp,
}

/// Decides. The first reason that holds is told, and nothing at all to those without the right secret.
pub(crate) fn judge(facts: &Facts<'_>) -> Result<(), TokenRefusal> {
    let terms = facts.terms.filter(|_| facts.secret_fits && !facts.is_revoked).ok_or(TokenRefusal::Invalid)?;
    if terms.expire.is_some_and(|expire| expire < facts.now) {
        return Err(TokenRefusal::Expired);
    }
    if terms.not_before.is_some_and(|begin| begin > facts.now) {
        return Err(TokenRefusal::NotYetValid);
    }
    if facts.endpoint.is_some_and(|endpoint| !terms.allow.contain(endpoint)) {
        return Err(TokenRefusal::NotAllowed);
    }
    if terms.max_downloads.is_some() { judge_use(facts) } else { Ok(()) }
}

/// Whether a use is left. What is counted is decided again when it is stored.
fn judge_use(facts: &Facts<'_>) -> Result<(), TokenRefusal> {
    if let Counting::Under(claim) = facts.counting {
        return check_claim(facts.uses, claim, facts.now);
    }
    match (facts.uses.remaining(facts.now), facts.counting) {
        (Some(0), _) => Err(TokenRefusal::Exhausted),
        (_, Counting::Unclaimed) => Err(TokenRefusal::ClaimRequired),
        _ => Ok(()),
    }
}

impl From<NoUseLeft> for TokenRefusal {
    fn from(reason: NoUseLeft) -> Self {
        match reason {
            NoUseLeft::Exhausted => Self::Exhausted,
            NoUseLeft::TooManyClaims => Self::TooManyClaims,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use transport::access::LEASE;

    use super::super::claim::{READABLE_FOR, TokenClaimId};
    use super::super::terms::{Endpoints, Notify};
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_unix_milliseconds(1_000_000)
    }

    fn terms(max_downloads: u32) -> Terms {
        Terms {
            expire: Some(now()),
            not_before: Some(now()),
            label: String::new(),
            max_downloads: NonZeroU32::new(max_downloads),
            allow: Endpoints::parse(&["view"]).unwrap(),
            notify: Notify::None,
        }
    }

    fn told(terms: Option<&Terms>, uses: &Uses, change: impl FnOnce(&mut Facts<'_>)) -> Result<(), TokenRefusal> {
        let mut facts = facts(terms, uses, &Counting::Unclaimed);
        change(&mut facts);
        judge(&facts)
    }

    fn facts<'a>(terms: Option<&'a Terms>, uses: &'a Uses, counting: &'a Counting) -> Facts<'a> {
        let endpoint = Some(ContentUse::View);
        Facts { terms, is_revoked: false, secret_fits: true, endpoint, counting, uses, now: now() }
    }

    #[test]
    fn without_the_right_secret_nothing_is_told() {
        let (terms, uses) = (terms(0), Uses::default());
        let later = now().saturating_add(Duration::from_millis(1));
        assert_eq!(told(Some(&terms), &uses, |_| {}), Ok(()));
        assert_eq!(told(None, &uses, |_| {}), Err(TokenRefusal::Invalid));
        for change in
            [|facts: &mut Facts<'_>| facts.is_revoked = true, |facts: &mut Facts<'_>| facts.secret_fits = false]
        {
            assert_eq!(told(Some(&terms), &uses, change), Err(TokenRefusal::Invalid));
            let expired = |facts: &mut Facts<'_>| {
                change(facts);
                (facts.now, facts.endpoint) = (later, Some(ContentUse::Download));
            };
            assert_eq!(told(Some(&terms), &uses, expired), Err(TokenRefusal::Invalid));
        }
    }

    #[test]
    fn a_token_is_valid_from_its_beginning_to_its_expiry_for_what_it_allows() {
        let (terms, uses) = (terms(0), Uses::default());
        let tick = Duration::from_millis(1);
        let at = |now| told(Some(&terms), &uses, move |facts| facts.now = now);
        assert_eq!(at(now().saturating_sub(tick)), Err(TokenRefusal::NotYetValid));
        assert_eq!(at(now()), Ok(()));
        assert_eq!(at(now().saturating_add(tick)), Err(TokenRefusal::Expired));
        for (endpoint, expected) in [
            (Some(ContentUse::View), Ok(())),
            (None, Ok(())),
            (Some(ContentUse::Download), Err(TokenRefusal::NotAllowed)),
            (Some(ContentUse::Preview), Err(TokenRefusal::NotAllowed)),
        ] {
            assert_eq!(told(Some(&terms), &uses, |facts| facts.endpoint = endpoint), expected);
        }
    }

    #[test]
    fn counted_uses_need_a_claim_and_end_with_the_last_one() {
        let terms = terms(1);
        let endless = Terms { expire: None, ..terms.clone() };
        let mut uses = Uses::new(terms.max_downloads, false);
        let [own, unknown] = [(); 2].map(|()| Counting::Under(TokenClaimId::new("a")));
        let all = [&Counting::Unclaimed, &Counting::Nothing, &Counting::Once, &own, &unknown];
        let told_all = |uses: &Uses| all.map(|counting| judge(&facts(Some(&terms), uses, counting)));
        let refused = Err(TokenRefusal::Exhausted);
        let required = Err(TokenRefusal::ClaimRequired);
        let not_claimed = Err(TokenRefusal::UnknownClaim);
        assert_eq!(told_all(&uses), [required, Ok(()), Ok(()), not_claimed, not_claimed]);
        let Counting::Under(claim) = &own else { unreachable!() };
        let _ = uses.claim(claim.claim(), now()).unwrap();
        assert_eq!(told_all(&uses), [refused, refused, refused, Ok(()), not_claimed]);
        let lapsed = Facts { now: now().saturating_add(LEASE), ..facts(Some(&endless), &uses, &own) };
        assert_eq!(judge(&lapsed), not_claimed, "no content was sent");
        let _ = uses.read(claim.claim(), now()).unwrap();
        assert_eq!(told_all(&uses), [refused, refused, refused, Ok(()), not_claimed]);
        // Its owner goes on with it for a time after it has begun to count.
        uses.commit(claim.claim(), now()).unwrap();
        let later =
            |late: Duration| judge(&Facts { now: now().saturating_add(late), ..facts(Some(&endless), &uses, &own) });
        assert_eq!(later(READABLE_FOR.saturating_sub(Duration::from_millis(1))), Ok(()));
        assert_eq!(later(READABLE_FOR), refused);
    }

    #[test]
    fn what_strangers_are_told_has_one_length() {
        let [invalid, expired] =
            [TokenRefusal::Invalid, TokenRefusal::Expired].map(|refusal| refusal.to_string().len());
        assert_eq!(invalid, expired);
    }
}
