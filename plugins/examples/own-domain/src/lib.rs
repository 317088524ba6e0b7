//! The smallest useful policy: each user has a domain below the operator's, named after the login.

use outpost_sdk::*;

struct OwnDomain;

impl Policy for OwnDomain {
    fn authorize(tx: &Transaction) -> Decision {
        let user = tx.account().map(|account| account.name).unwrap_or_default();
        let own = format!("{user}.example.com");
        let mut senders = tx.senders().into_iter();
        match senders.find(|sender| !sender.is_in_domain(&own)) {
            None => permit("own-domain", format!("all senders are at {own}")),
            Some(other) => refuse("own-domain", format!("{other} is not at {own}"))
                .saying("Use an address of your own domain."),
        }
    }
}

register!(authorizer: OwnDomain);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_sends_from_the_domain_of_its_name_only() {
        let check = |address: &str, permitted: bool| {
            for tx in [
                testing::Transaction::builder()
                    .account("shop")
                    .reverse_path(address),
                testing::Transaction::builder()
                    .account("shop")
                    .author(address),
            ] {
                let decision = OwnDomain::authorize(&tx.build());
                testing::assert_valid(&decision);
                assert_eq!(decision.verdict == Verdict::Permit, permitted, "{address}");
            }
        };
        check("news@shop.example.com", true);
        check("news@bank.example.com", false);
        check("news@example.com", false);
    }
}
