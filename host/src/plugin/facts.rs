//! The interface `message`: how a component reads the facts of its transaction.

use wasmtime::component::Resource;

use super::bindings::TransactionHandle;
use super::bindings::outpost::policy::message::{Header, Host, HostTransaction, Requested};
use super::bindings::outpost::policy::types;
use super::context::Context;
use crate::message::{Address, TlsParameters};
use crate::policy::{AccountFacts, Attribute, AttributeValue, SessionFacts};

/// Recipients that one call returns, as the contract says.
const FORWARD_PATHS_MAX: usize = 500;
/// Octets of a requested priority's value, as the contract says.
const REQUESTED_OCTETS_MAX: usize = 256;

type Handle = Resource<TransactionHandle>;

impl types::Host for Context {}
impl Host for Context {}

/// The handle is always the transaction that is asked about: an instance knows no other.
impl HostTransaction for Context {
    fn session(&mut self, _: Handle) -> wasmtime::Result<types::Session> {
        self.called()?;
        Ok(session(&self.facts()?.session))
    }

    fn account(&mut self, _: Handle) -> wasmtime::Result<Option<types::Account>> {
        self.called()?;
        Ok(self.facts()?.account.as_deref().map(account))
    }

    fn authorized_domains(&mut self, _: Handle) -> wasmtime::Result<Vec<String>> {
        self.called()?;
        let account = self.facts()?.account.as_deref();
        Ok(account.map_or_else(Vec::new, |account| account.authorized_domains.to_vec()))
    }

    fn authorized_senders(&mut self, _: Handle) -> wasmtime::Result<Vec<String>> {
        self.called()?;
        let account = self.facts()?.account.as_deref();
        Ok(account.map_or_else(Vec::new, |account| account.authorized_senders.to_vec()))
    }

    fn envelope(&mut self, _: Handle) -> wasmtime::Result<types::Envelope> {
        self.called()?;
        let facts = self.facts()?;
        Ok(types::Envelope {
            reverse_path: facts.envelope.reverse_path.as_ref().map(mailbox),
            parameters: facts.envelope.parameters.clone(),
            declared_size_bytes: facts.envelope.declared_size_octets,
            forward_path_count: u32::try_from(facts.forward_paths.len()).unwrap_or(u32::MAX),
        })
    }

    fn forward_paths(
        &mut self,
        _: Handle,
        offset: u32,
        limit: u32,
    ) -> wasmtime::Result<Vec<types::Mailbox>> {
        self.called()?;
        let limit = (limit as usize).min(FORWARD_PATHS_MAX);
        let paths = self.facts()?.forward_paths.iter();
        Ok(paths
            .skip(offset as usize)
            .take(limit)
            .map(mailbox)
            .collect())
    }

    fn header_known(&mut self, _: Handle) -> wasmtime::Result<bool> {
        self.called()?;
        Ok(self.facts()?.is_header_known())
    }

    fn authors(&mut self, _: Handle) -> wasmtime::Result<Vec<types::Mailbox>> {
        self.called()?;
        Ok(self.facts()?.authors().iter().map(mailbox).collect())
    }

    fn requested_priorities(&mut self, _: Handle) -> wasmtime::Result<Vec<Requested>> {
        self.called()?;
        let requested = self.facts()?.requested_priorities.iter();
        Ok(requested
            .map(|requested| Requested {
                carrier: requested.carrier.clone(),
                value: prefix(&requested.value, REQUESTED_OCTETS_MAX).to_owned(),
                priority: requested.class.map(crate::message::Class::number),
            })
            .collect())
    }

    fn header(&mut self, _: Handle, name: String) -> wasmtime::Result<Option<String>> {
        self.called()?;
        let header = self.facts()?.header.as_deref();
        Ok(header.and_then(|header| header.values(&name).next().map(str::to_owned)))
    }

    fn headers(&mut self, _: Handle, name: String) -> wasmtime::Result<Vec<String>> {
        self.called()?;
        let header = self.facts()?.header.as_deref();
        Ok(header.map_or_else(Vec::new, |header| {
            header.values(&name).map(str::to_owned).collect()
        }))
    }

    fn all_headers(&mut self, _: Handle) -> wasmtime::Result<Vec<Header>> {
        self.called()?;
        let fields = self.facts()?.header.as_deref().map(|header| &header.fields);
        Ok(fields
            .into_iter()
            .flatten()
            .map(|field| Header {
                name: field.name.clone(),
                value: field.value.clone(),
            })
            .collect())
    }

    fn content_bytes(&mut self, _: Handle) -> wasmtime::Result<Option<u64>> {
        self.called()?;
        let header = self.facts()?.header.as_deref();
        Ok(header.map(|header| header.content_octets))
    }

    fn notes(&mut self, _: Handle) -> wasmtime::Result<Vec<types::Attribute>> {
        self.called()?;
        Ok(self.notes.iter().map(attribute).collect())
    }

    fn drop(&mut self, _: Handle) -> wasmtime::Result<()> {
        // Components only ever borrow it.
        Ok(())
    }
}

fn session(session: &SessionFacts) -> types::Session {
    types::Session {
        id: session.id.clone(),
        listener_port: session.listener_port,
        client_address: session.client.ip().to_canonical().to_string(),
        client_port: session.client.port(),
        ehlo: session.ehlo.clone(),
        tls: session.tls.as_ref().map(tls),
        attributes: vec![],
    }
}

/// The contract speaks of "1.3" and of cipher suites by their IANA names.
fn tls(tls: &TlsParameters) -> types::Tls {
    let version = tls.version.trim_start_matches("TLSv").replace('_', ".");
    let cipher = tls.cipher.strip_prefix("TLS13_");
    types::Tls {
        version,
        cipher: cipher.map_or_else(|| tls.cipher.clone(), |suite| format!("TLS_{suite}")),
    }
}

fn account(account: &AccountFacts) -> types::Account {
    types::Account {
        name: account.name.clone(),
        list: account.list.clone(),
        priority: account.priority.number(),
        mechanism: account.mechanism.clone(),
        attributes: vec![],
    }
}

fn mailbox(address: &Address) -> types::Mailbox {
    types::Mailbox {
        local: address.local().to_owned(),
        domain: address.domain().to_owned(),
    }
}

fn attribute(attribute: &Attribute) -> types::Attribute {
    types::Attribute {
        key: attribute.key().to_owned(),
        value: match attribute.value() {
            AttributeValue::Text(text) => types::AttributeValue::Text(text.clone()),
            AttributeValue::Number(number) => types::AttributeValue::Number(*number),
            AttributeValue::Truth(truth) => types::AttributeValue::Truth(*truth),
            AttributeValue::Octets(octets) => types::AttributeValue::Octets(octets.clone()),
        },
    }
}

/// At most that many octets from the beginning, whole characters only.
fn prefix(text: &str, octets_max: usize) -> &str {
    &text[..text.floor_char_boundary(octets_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_named_as_the_contract_names_it() {
        for (version, cipher, expected) in [
            (
                "TLSv1.3",
                "TLS13_AES_256_GCM_SHA384",
                ("1.3", "TLS_AES_256_GCM_SHA384"),
            ),
            (
                "TLSv1_2",
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                ("1.2", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
            ),
        ] {
            let tls = tls(&TlsParameters {
                version: version.into(),
                cipher: cipher.into(),
            });
            assert_eq!((tls.version.as_str(), tls.cipher.as_str()), expected);
        }
    }

    #[test]
    fn a_mapped_address_appears_as_the_ipv4_address() {
        let facts = SessionFacts {
            id: "s".into(),
            listener_port: 25,
            client: "[::ffff:192.0.2.1]:40000".parse().expect("an address"),
            ehlo: String::new(),
            tls: None,
        };
        assert_eq!(session(&facts).client_address, "192.0.2.1");
    }

    #[test]
    fn a_prefix_ends_between_characters() {
        assert_eq!(prefix("aü", 2), "a");
        assert_eq!(prefix("aü", 3), "aü");
        assert_eq!(prefix("a", 9), "a");
    }
}
