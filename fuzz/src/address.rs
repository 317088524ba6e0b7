//! Addresses: what is read of one is what its written form says, and its comparable form is one.

use outpost::message::{Address, comparable_domain, mapped_domain};
use outpost_smtp::{ForwardPath, Mailbox, ReversePath};

/// An address, or a path.
pub fn address(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else {
        return;
    };
    check_mailbox(text);
    check_paths(text);
    check_domain(text);
}

fn check_mailbox(text: &str) {
    let Ok(mailbox) = Mailbox::parse(text, true) else {
        assert!(Mailbox::parse(text, false).is_err(), "only in ASCII");
        return;
    };
    let written = mailbox.to_string();
    assert!(!written.contains(char::is_control), "{written:?}");
    assert_eq!(Mailbox::parse(&written, true).as_ref(), Ok(&mailbox));
    assert_eq!(Mailbox::parse(text, false).is_ok(), text.is_ascii());
    if let Ok(address) = Address::from_mailbox(&mailbox) {
        assert_eq!(address.local(), mailbox.local);
        let again = Address::new(address.local(), address.domain());
        assert_eq!(again.as_ref(), Ok(&address));
    }
}

fn check_paths(text: &str) {
    if let Ok((path, behind)) = ReversePath::parse_prefix(text) {
        assert!(text.ends_with(behind));
        let written = format!("{path}{behind}");
        assert_eq!(ReversePath::parse_prefix(&written), Ok((path, behind)));
    }
    if let Ok((path, behind)) = ForwardPath::parse_prefix(text) {
        assert!(text.ends_with(behind));
        let written = format!("{path}{behind}");
        assert_eq!(ForwardPath::parse_prefix(&written), Ok((path, behind)));
    }
}

/// A comparable domain is comparable to itself, and is the one that an operator means by it.
fn check_domain(text: &str) {
    // Literals are checked by whoever reads the address.
    if text.starts_with('[') {
        return;
    }
    for read in [comparable_domain(text), mapped_domain(text)] {
        let Ok(domain) = read else { continue };
        assert_eq!(domain, domain.to_lowercase());
        assert_eq!(comparable_domain(&domain).as_ref(), Ok(&domain));
    }
    // What either takes, both take for the same.
    if let (Ok(compared), Ok(mapped)) = (comparable_domain(text), mapped_domain(text)) {
        assert_eq!(compared, mapped);
    }
}
