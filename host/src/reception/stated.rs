//! The parameters of MAIL as policy components see them: keyword and value, without AUTH.

use outpost_smtp::{Body, Hold, MailParameters, Ret};

use crate::message::Timestamp;

/// What was said, in the order of the keywords below.
pub(super) fn stated(parameters: &MailParameters) -> Vec<(String, String)> {
    let mut stated = Vec::new();
    let mut state = |keyword: &str, value: String| stated.push((keyword.to_owned(), value));
    if let Some(octets) = parameters.size {
        state("SIZE", octets.to_string());
    }
    if parameters.body == Body::EightBitMime {
        state("BODY", "8BITMIME".to_owned());
    }
    if parameters.smtputf8 {
        state("SMTPUTF8", String::new());
    }
    match parameters.ret {
        Some(Ret::Full) => state("RET", "FULL".to_owned()),
        Some(Ret::Headers) => state("RET", "HDRS".to_owned()),
        None => {}
    }
    if let Some(envid) = &parameters.envid {
        state("ENVID", envid.clone());
    }
    if let Some(priority) = parameters.mt_priority {
        state("MT-PRIORITY", priority.to_string());
    }
    match parameters.hold {
        Some(Hold::For(interval)) => state("HOLDFOR", interval.as_secs().to_string()),
        Some(Hold::Until(time)) => state("HOLDUNTIL", Timestamp::EPOCH.plus(time).to_string()),
        None => {}
    }
    if let Some(by) = parameters.by {
        state("BY", by.to_string());
    }
    if parameters.require_tls {
        state("REQUIRETLS", String::new());
    }
    stated
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_parameter_is_told_but_for_auth() {
        for (said, told) in [
            ("", ""),
            (
                "SIZE=7 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+20b AUTH=<>",
                "SIZE=7 BODY=8BITMIME SMTPUTF8= RET=HDRS ENVID=a b",
            ),
            (
                "REQUIRETLS MT-PRIORITY=-3 HOLDFOR=60",
                "MT-PRIORITY=-3 HOLDFOR=60 REQUIRETLS=",
            ),
            (
                "BY=+60;nt HOLDUNTIL=2023-11-15T00:13:20+02:00",
                "HOLDUNTIL=2023-11-14T22:13:20.000Z BY=60;NT",
            ),
        ] {
            let parameters = stated(&MailParameters::parse(said).unwrap());
            let parameters: Vec<_> = parameters
                .into_iter()
                .map(|(keyword, value)| format!("{keyword}={value}"))
                .collect();
            assert_eq!(parameters.join(" "), told);
        }
    }
}
