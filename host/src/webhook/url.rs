//! Addresses that documents are sent to.

use std::fmt;

use hyper::Uri;

/// Longest address that is taken.
const OCTETS_MAX: usize = 2_000;

/// An address of `https` or `http`. What stands behind the host is often a secret, so only the host is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    is_protected: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    authority: String,
    path: String,
}

impl Url {
    /// Reads `https://host/path`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let wrong = "is not an address such as \"https://hooks.example.com/outpost\"";
        if text.len() > OCTETS_MAX {
            return Err(format!("is longer than {OCTETS_MAX} octets"));
        }
        // A fragment never leaves whoever has it.
        let text = text.split('#').next().unwrap_or_default();
        let uri: Uri = text.parse().map_err(|_| wrong.to_owned())?;
        let is_protected = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong.to_owned()),
        };
        let authority = uri.authority().ok_or_else(|| wrong.to_owned())?;
        if authority.as_str().contains('@') {
            return Err(
                "must not have a user and a password in it: documents are signed".to_owned(),
            );
        }
        let host = authority.host();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        // What stands behind the host is a port, or the whole is none of these.
        let has_port = !authority.as_str().ends_with(authority.host());
        let port = authority.port_u16().filter(|port| *port > 0);
        if host.is_empty() || (has_port && port.is_none()) {
            return Err(wrong.to_owned());
        }
        let usual = if is_protected { 443 } else { 80 };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            is_protected,
            host: host.to_owned(),
            port: port.unwrap_or(usual),
            authority: authority.as_str().to_owned(),
            path: match path.starts_with('/') {
                true => path.to_owned(),
                false => format!("/{path}"),
            },
        })
    }

    /// Whether it is reached under TLS.
    pub fn is_protected(&self) -> bool {
        self.is_protected
    }

    /// The host, a name or an address.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

/// Scheme and host: `https://hooks.example.com/…`.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_protected { "https" } else { "http" };
        write!(f, "{scheme}://{}/…", self.authority)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        for (text, is_protected, host, port, path) in [
            ("https://a.example", true, "a.example", 443, "/"),
            (
                "http://a.example:8080/x?y=1#z",
                false,
                "a.example",
                8_080,
                "/x?y=1",
            ),
            ("https://[2001:db8::1]/x", true, "2001:db8::1", 443, "/x"),
            ("https://a.example?x", true, "a.example", 443, "/?x"),
        ] {
            let url = Url::read(text).unwrap();
            let parts = (url.is_protected(), url.host(), url.port(), url.path());
            assert_eq!(parts, (is_protected, host, port, path), "{text}");
        }
        let shown = format!("{:?}", Url::read("https://a.example/secret").unwrap());
        assert_eq!(shown, "https://a.example/…");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("https://a.example/{}", "x".repeat(2_000));
        for text in [
            "",
            "a.example",
            "/x",
            "ftp://a.example/",
            "https://",
            "https:///x",
            "https://u:p@a.example/",
            "https://a.example:0/",
            "https://a.example:99999/",
            "https://a example/",
            &long,
        ] {
            assert!(Url::read(text).is_err(), "{text}");
        }
    }
}
