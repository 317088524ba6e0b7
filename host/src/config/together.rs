//! What is right section by section, and cannot be served together.
//!
//! A relay with such a file would not start, or would promise its clients what it never does. What is
//! wrong already is not judged here: a default stands in its place.

use std::net::IpAddr;

use super::document::Mistake;
use super::{Config, Places};
use crate::admin::Protection;

/// Everything that keeps the configuration from being served though each key is right; `mistakes` are
/// those that were found in the keys.
pub(super) fn mistakes(config: &Config, mistakes: &[Mistake]) -> Vec<Mistake> {
    let of_ports = ["submission", "admin"];
    if are_wrong(&of_ports, mistakes) {
        return Vec::new();
    }
    let in_clear = admin_in_clear(config);
    admin_port(config).into_iter().chain(in_clear).collect()
}

/// What can be served, and should be known.
pub(super) fn notes(config: &Config, mistakes: &[Mistake]) -> Vec<Mistake> {
    if are_wrong(&["submission", "spool"], mistakes) {
        return Vec::new();
    }
    room_for_a_message(config).into_iter().collect()
}

/// Whether anything in these sections, or in the notation of the file, is wrong.
fn are_wrong(sections: &[&str], mistakes: &[Mistake]) -> bool {
    let is_in = |mistake: &Mistake, section: &str| {
        let rest = mistake.key.strip_prefix(section);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    mistakes.iter().any(|mistake| {
        mistake.key.is_empty() || sections.iter().any(|section| is_in(mistake, section))
    })
}

/// Passwords and tokens of the admin surface do not cross a network in clear unless somebody has written that they may.
fn admin_in_clear(config: &Config) -> Option<Mistake> {
    let (admin, places) = (&config.admin, &config.places);
    let is_meant = places.has("admin.tls") || admin.protection == Protection::Tls;
    if admin.address.ip().to_canonical().is_loopback() || is_meant {
        return None;
    }
    let text = format!(
        "{} is reached from other machines, where passwords and tokens could be read on the way: add \
         `tls = \"required\"` to [admin], or `tls = \"none\"` where a proxy protects them",
        admin.address
    );
    Some(places.mistake("admin.address", text))
}

/// The admin surface cannot have a port that clients submit mail to.
fn admin_port(config: &Config) -> Option<Mistake> {
    let (admin, listen) = (config.admin.address, &config.listen);
    let port = admin.port();
    let key = if port == 0 {
        return None;
    } else if listen.ports.contains(port) {
        "ports"
    } else if listen.implicit_tls_ports.contains(port) {
        "implicit_tls_ports"
    } else {
        return None;
    };
    let mut addresses = listen.addresses.iter();
    if !addresses.any(|own| overlap(*own, admin.ip())) {
        return None;
    }
    let places = &config.places;
    let submission = format!("submission.{key}");
    // At the key that somebody wrote; the default of the other one does not go with it.
    if places.has("admin.address") || !places.has(&submission) {
        let text = format!("port {port} is in [submission] {key} too: name another one");
        return Some(places.mistake("admin.address", text));
    }
    let text = format!(
        "port {port} is that of the admin surface ([admin] address is {admin}): leave it out, or \
         give that another one"
    );
    Some(places.mistake(&submission, text))
}

/// Whether a port that listens on the one address cannot listen on the other too.
fn overlap(one: IpAddr, other: IpAddr) -> bool {
    one == other
        || one.is_ipv4() == other.is_ipv4() && (one.is_unspecified() || other.is_unspecified())
}

/// What is coming in at once should be able to be one message of the largest size.
fn room_for_a_message(config: &Config) -> Option<Mistake> {
    let key = "spool.in_flight_bytes_max";
    let places: &Places = &config.places;
    let (largest, room) = (
        config.limits.content_octets_max,
        config.spool.octets_in_flight_max,
    );
    (places.has(key) && largest > room).then(|| {
        let text = format!(
            "leaves no room for messages of more than {room} octets, though [submission] \
             message_bytes_max is {largest}: they are answered with 452 for ever"
        );
        places.mistake(key, text)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::config::{parse, read_text};

    fn told(text: &str) -> Vec<String> {
        let mistakes = parse(text).map(drop).err().unwrap_or_default();
        mistakes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_admin_port_is_none_of_the_submission_ports_of_its_address() {
        let theirs = "line 2: submission.ports: port 8025 is that of the admin surface ([admin] address is \
                      127.0.0.1:8025): leave it out, or give that another one";
        for (text, expected) in [
            ("[submission]\nports = \"25,8000-9000\"\n", theirs),
            (
                "[submission]\nports = \"1025-9000\"\naddresses = [\"127.0.0.1\"]\n",
                theirs,
            ),
            (
                "[admin]\naddress = \"127.0.0.1:3000\"\n",
                "line 2: admin.address: port 3000 is in [submission] ports too: name another one",
            ),
            (
                "[admin]\naddress = \"[::1]:465\"\n",
                "line 2: admin.address: port 465 is in [submission] implicit_tls_ports too: name another one",
            ),
            (
                "[submission]\naddresses = [\"127.0.0.2\"]\nports = \"3000\"\n[admin]\naddress = \"0.0.0.0:3000\"\ntls = \"none\"\n",
                "line 5: admin.address: port 3000 is in [submission] ports too: name another one",
            ),
        ] {
            assert_eq!(told(text), [expected], "{text}");
        }
        for text in [
            "[submission]\naddresses = [\"127.0.0.2\"]\nports = \"8025\"\n",
            "[submission]\naddresses = [\"::\"]\nports = \"8025\"\n",
            "[admin]\naddress = \"127.0.0.1:0\"\n",
        ] {
            assert!(told(text).is_empty(), "{text}");
        }
        // What is wrong by itself is told once.
        assert_eq!(
            told("[submission]\nports = \"8025\"\n[admin]\naddress = \"x\"\n").len(),
            1
        );
    }

    #[test]
    fn the_admin_surface_is_not_reached_in_clear_from_elsewhere_unless_that_is_written() {
        let refused = |address: &str| {
            format!(
                "line 2: admin.address: {address} is reached from other machines, where passwords and tokens could \
                 be read on the way: add `tls = \"required\"` to [admin], or `tls = \"none\"` where a proxy protects them"
            )
        };
        for address in [
            "0.0.0.0:8025",
            "192.0.2.1:8025",
            "[::]:8025",
            "[2001:db8::1]:8025",
        ] {
            let text = format!("[admin]\naddress = \"{address}\"\n");
            assert_eq!(told(&text), [refused(address)]);
            for tls in ["required", "none"] {
                let meant = format!("{text}tls = \"{tls}\"\n");
                assert!(told(&meant).is_empty(), "{meant}");
            }
        }
        for address in ["127.0.0.2:8025", "[::1]:8025", "[::ffff:127.0.0.1]:8025"] {
            assert!(told(&format!("[admin]\naddress = \"{address}\"\n")).is_empty());
        }
        assert_eq!(
            told("[admin]\ntls = \"yes\"\n"),
            ["line 2: admin.tls: `yes` is not one of required, none"]
        );
    }

    #[test]
    fn the_largest_message_has_room_unless_somebody_says_otherwise() {
        let room = |text: &str| parse(text).unwrap().spool.octets_in_flight_max;
        assert_eq!(room(""), 256 << 20);
        assert_eq!(
            room("[submission]\nmessage_bytes_max = 1073741824\n"),
            (1 << 30) + (1 << 20)
        );
        let notes = |text: &str| {
            let notes = read_text(text).notes;
            notes.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            notes("[spool]\nin_flight_bytes_max = 1048576\n"),
            [
                "line 2: spool.in_flight_bytes_max: leaves no room for messages of more than 1048576 octets, \
                 though [submission] message_bytes_max is 52428800: they are answered with 452 for ever"
            ]
        );
        assert!(notes("[spool]\nin_flight_bytes_max = 52428800\n").is_empty());
    }
}
