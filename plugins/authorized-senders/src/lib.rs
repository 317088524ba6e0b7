//! Who may send as whom: a user sends as the domains and addresses that the operator gave it.
//!
//! At MAIL the reverse-path must be covered, when the header is known every author; either of the
//! two lists may cover it. The null reverse-path names no sender and passes, the authors decide. A
//! user with neither list may send as nobody. Both lists and all mailboxes come from the relay in
//! comparable form, so that comparing them is all that is left to do. The client is told what it
//! can do about a refusal, in words that are always the same; who and what stands in the reasons.

use outpost_sdk::{
    Decision, Mailbox, Policy, Reply, Transaction, Verdict, pass, permit, refuse, register,
};

/// The policy.
pub struct AuthorizedSenders;

impl Policy for AuthorizedSenders {
    fn authorize(tx: &Transaction) -> Decision {
        let Some(account) = tx.account() else {
            return refuse("login", "nobody is logged in").replying(Reply::new(
                550,
                (5, 7, 0),
                "Log in before you send.",
            ));
        };
        let user = account.name;
        let senders = tx.senders();
        if senders.is_empty() {
            return without_senders(tx.header_known());
        }
        let rules = Rules::for_senders(tx, &senders);
        if rules.domains.is_empty() && rules.senders.is_empty() {
            return refuse(
                "no-rules",
                [&user, " has neither authorized domains nor senders"].concat(),
            )
            .saying("Your login is not authorized to send as anybody; ask the operator.");
        }
        let mut others = senders
            .iter()
            .filter(|sender| rules.covering(sender).is_none());
        if let Some(first) = others.next() {
            let reason =
                |other: &Mailbox| [&user, " may not send as ", &other.to_string()].concat();
            let refused = refuse("not-authorized", reason(first)).saying(advice(tx.header_known()));
            return others.fold(refused, |refused, other| {
                refused.because("not-authorized", reason(other))
            });
        }
        let permitted = Decision {
            verdict: Verdict::Permit,
            ..pass()
        };
        let covered = senders
            .iter()
            .filter_map(|sender| Some((sender, rules.covering(sender)?)));
        covered.fold(permitted, |permitted, (sender, rule)| {
            let (list, rule, covers) = match rule {
                Rule::Domain(rule) => ("authorized-domains", rule, " covers "),
                Rule::Sender(rule) => ("authorized-senders", rule, " is "),
            };
            permitted.because(list, [rule, covers, &sender.to_string()].concat())
        })
    }
}

/// Nobody is named: at MAIL that is the null reverse-path. A header without authors never reaches a
/// component; should it do so all the same, the answer is no.
fn without_senders(header_known: bool) -> Decision {
    if header_known {
        refuse("no-author", "the header names no author").saying(advice(true))
    } else {
        permit(
            "null-reverse-path",
            "no sender is named; the authors decide",
        )
    }
}

/// What the sender can do, without a word of what was sent.
fn advice(header_known: bool) -> &'static str {
    if header_known {
        "Your login is not authorized for an address in From or Sender; use one of your own or ask \
         the operator."
    } else {
        "Your login is not authorized for this sender address; use one of your own or ask the \
         operator."
    }
}

/// What the operator gave the user, as far as it matters here.
struct Rules {
    domains: Vec<String>,
    /// Empty too when the domains cover everybody.
    senders: Vec<String>,
}

/// The rule that covers a sender.
enum Rule<'a> {
    Domain(&'a str),
    Sender(&'a str),
}

impl Rules {
    /// Asks for the second list only when the first does not do: most users have domains.
    fn for_senders(tx: &Transaction, senders: &[Mailbox]) -> Self {
        let mut rules = Self {
            domains: tx.authorized_domains(),
            senders: Vec::new(),
        };
        if senders
            .iter()
            .any(|sender| rules.covering(sender).is_none())
        {
            rules.senders = tx.authorized_senders();
        }
        rules
    }

    fn covering(&self, sender: &Mailbox) -> Option<Rule<'_>> {
        let domain = self.domains.iter().find(|rule| sender.is_in_domain(rule));
        let address = || self.senders.iter().find(|rule| sender.is_address(rule));
        domain
            .map(|rule| Rule::Domain(rule))
            .or_else(|| address().map(|rule| Rule::Sender(rule)))
    }
}

register!(authorizer: AuthorizedSenders);

#[cfg(test)]
mod tests {
    use super::*;
    use outpost_sdk::testing::{self, Builder};

    fn user(domains: &[&str], senders: &[&str]) -> Builder {
        let user = testing::Transaction::builder().account("shop");
        user.authorized_domains(domains).authorized_senders(senders)
    }

    fn decide(builder: Builder) -> Decision {
        let decision = AuthorizedSenders::authorize(&builder.build());
        testing::assert_valid(&decision);
        decision
    }

    /// The reply as the client sees it, or whether it was permitted.
    fn answer(builder: Builder) -> String {
        match decide(builder).verdict {
            Verdict::Permit => "permit".into(),
            Verdict::Refuse(Some(Reply {
                code,
                enhanced: (a, b, c),
                text,
            })) => {
                format!("{code} {a}.{b}.{c} {text}")
            }
            other => format!("{other:?}"),
        }
    }

    /// Rule and detail of each reason.
    fn reasons(builder: Builder) -> Vec<String> {
        let reasons = decide(builder).reasons.into_iter();
        reasons
            .map(|reason| format!("{}: {}", reason.rule, reason.detail))
            .collect()
    }

    #[test]
    fn the_two_lists_are_a_union_at_mail() {
        let domains = &[
            "a.example",
            "b.example",
            "*.c.example",
            "xn--bcher-kva.example",
        ][..];
        let senders = &["x@d.example", "jürgen@e.example"][..];
        let check = |address: &str, covered: bool| {
            for (domains, senders, covered) in [
                (domains, senders, covered),
                (&["z.example"], &["z@z.example"], false),
            ] {
                let verdict = answer(user(domains, senders).reverse_path(address));
                assert_eq!(verdict == "permit", covered, "{address}: {verdict}");
            }
        };
        check("anybody@a.example", true);
        check("Anybody@b.example", true);
        check("a@xn--bcher-kva.example", true);
        check("a@sub.a.example", false);
        check("a@nota.example", false);
        check("a@sub.c.example", true);
        check("a@deep.sub.c.example", true);
        check("a@c.example", false);
        check("a@notc.example", false);
        check("x@d.example", true);
        check("X@d.example", true);
        check("JÜRGEN@e.example", true);
        check("y@d.example", false);
        check("x@sub.d.example", false);
        check("a.example@d.example", false);
        check("a@a.example@d.example", false);
    }

    #[test]
    fn either_list_alone_is_enough() {
        assert_eq!(
            answer(user(&["a.example"], &[]).reverse_path("x@a.example")),
            "permit"
        );
        assert_eq!(
            answer(user(&[], &["x@a.example"]).reverse_path("x@a.example")),
            "permit"
        );
    }

    #[test]
    fn with_both_lists_empty_nobody_may_send() {
        let refused =
            "550 5.7.1 Your login is not authorized to send as anybody; ask the operator.";
        assert_eq!(answer(user(&[], &[]).reverse_path("x@a.example")), refused);
        assert_eq!(answer(user(&[], &[]).author("x@a.example")), refused);
        assert_eq!(
            reasons(user(&[], &[]).author("x@a.example")),
            ["no-rules: shop has neither authorized domains nor senders"]
        );
    }

    #[test]
    fn without_a_login_nobody_may_send() {
        let nobody = || user(&["a.example"], &[]).without_account();
        for builder in [
            nobody(),
            nobody().reverse_path("x@a.example"),
            nobody().author("x@a.example"),
        ] {
            assert_eq!(answer(builder), "550 5.7.0 Log in before you send.");
        }
    }

    #[test]
    fn a_null_reverse_path_passes_mail_and_the_authors_decide() {
        assert_eq!(answer(user(&["a.example"], &[])), "permit");
        assert_eq!(answer(user(&[], &[])), "permit");
        assert_eq!(
            answer(user(&["a.example"], &[]).author("x@a.example")),
            "permit"
        );
        assert!(answer(user(&["a.example"], &[]).author("x@b.example")).starts_with("550 5.7.1"));
        assert!(answer(user(&[], &[]).author("x@b.example")).starts_with("550 5.7.1"));
    }

    #[test]
    fn every_author_must_be_covered() {
        let rules = || user(&["a.example"], &["x@b.example"]).reverse_path("x@a.example");
        assert_eq!(
            answer(rules().author("y@a.example").author("x@b.example")),
            "permit"
        );
        for (first, second) in [
            ("y@a.example", "y@b.example"),
            ("y@b.example", "y@a.example"),
        ] {
            assert!(answer(rules().author(first).author(second)).starts_with("550 5.7.1"));
        }
    }

    #[test]
    fn an_authorized_reverse_path_does_not_authorize_another_author() {
        let forged = user(&["a.example"], &[])
            .reverse_path("x@a.example")
            .author("ceo@b.example");
        assert_eq!(
            answer(forged),
            "550 5.7.1 Your login is not authorized for an address in From or Sender; use one of \
             your own or ask the operator."
        );
    }

    #[test]
    fn a_header_without_authors_is_refused() {
        assert!(answer(user(&["a.example"], &[]).content_bytes(1)).starts_with("550 5.7.1"));
    }

    #[test]
    fn reasons_say_who_and_what() {
        let rules = || user(&["a.example", "*.c.example"], &["x@b.example"]);
        assert_eq!(
            reasons(
                rules()
                    .author("y@a.example")
                    .author("X@b.example")
                    .author("z@d.c.example")
            ),
            [
                "authorized-domains: a.example covers y@a.example",
                "authorized-senders: x@b.example is X@b.example",
                "authorized-domains: *.c.example covers z@d.c.example",
            ]
        );
        assert_eq!(
            reasons(
                rules()
                    .author("y@a.example")
                    .author("y@b.example")
                    .author("y@e.example")
            ),
            [
                "not-authorized: shop may not send as y@b.example",
                "not-authorized: shop may not send as y@e.example",
            ]
        );
        assert_eq!(
            reasons(rules()),
            ["null-reverse-path: no sender is named; the authors decide"]
        );
    }

    #[test]
    fn the_reply_never_echoes_what_was_sent() {
        let hostile = "x\r\n250 ok@b.example";
        for builder in [
            user(&["a.example"], &[]).reverse_path(hostile),
            user(&["a.example"], &[]).author(hostile),
            user(&[], &[]).author(hostile),
        ] {
            let answer = answer(builder);
            assert!(
                !answer.contains("250") && !answer.contains("b.example"),
                "{answer}"
            );
        }
    }

    #[test]
    fn a_crowd_of_authors_is_judged_whole_and_answered_within_the_limits() {
        let crowd = |count: usize| {
            (0..count).fold(user(&["a.example"], &[]), |builder, n| {
                builder.author(&format!("author-{n}-{}@a.example", "x".repeat(600)))
            })
        };
        assert_eq!(answer(crowd(200)), "permit");
        assert!(answer(crowd(200).author("last@b.example")).starts_with("550 5.7.1"));
        assert_eq!(
            reasons(crowd(200).author("last@b.example")),
            ["not-authorized: shop may not send as last@b.example"]
        );
    }
}
