//! A name server with the records of one test.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;

/// Where name servers of tests listen.
const PORT: u16 = 5300;

const A: u16 = 1;
const MX: u16 = 15;

/// Records by name (in lower case, without a dot at the end).
#[derive(Default)]
pub struct Names {
    records: HashMap<String, Vec<(u16, Vec<u8>)>>,
    fails: bool,
}

impl Names {
    /// A server that is in trouble: SERVFAIL to everything.
    pub fn failing() -> Names {
        Names {
            fails: true,
            ..Names::default()
        }
    }

    pub fn a(mut self, name: &str, address: IpAddr) -> Names {
        let IpAddr::V4(address) = address else {
            panic!("{address} is no IPv4 address");
        };
        self.add(name, A, address.octets().to_vec());
        self
    }

    /// An empty host is a null MX (RFC 7505).
    pub fn mx(mut self, name: &str, preference: u16, host: &str) -> Names {
        let mut data = preference.to_be_bytes().to_vec();
        data.extend(encoded(host));
        self.add(name, MX, data);
        self
    }

    fn add(&mut self, name: &str, kind: u16, data: Vec<u8>) {
        self.records
            .entry(name.to_owned())
            .or_default()
            .push((kind, data));
    }

    /// Answers at that address for as long as the test runs.
    pub fn serve(self, ip: IpAddr) -> SocketAddr {
        let socket = UdpSocket::bind((ip, PORT)).unwrap();
        let address = socket.local_addr().unwrap();
        thread::spawn(move || {
            let mut question = [0; 1500];
            while let Ok((octets, client)) = socket.recv_from(&mut question) {
                if let Some(answer) = self.answer(&question[..octets]) {
                    socket.send_to(&answer, client).unwrap();
                }
            }
        });
        address
    }

    fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        let (name, end) = decoded(question, 12)?;
        let asked = question.get(12..end + 4)?;
        let kind = u16::from_be_bytes([question[end], question[end + 1]]);
        let known = self.records.get(&name.to_lowercase());
        let records: Vec<_> = known
            .into_iter()
            .flatten()
            .filter(|record| record.0 == kind)
            .collect();
        // RFC 1035 §4.1.1: a response with recursion, and NXDOMAIN for a name without any record.
        let code = match known {
            _ if self.fails => 2,
            Some(_) => 0,
            None => 3,
        };
        let flags: u16 = 0x8180 | code;
        let counts = [1, u16::try_from(records.len()).ok()?, 0, 0];
        let mut answer = question[..2].to_vec();
        answer.extend(flags.to_be_bytes());
        answer.extend(counts.into_iter().flat_map(u16::to_be_bytes));
        answer.extend(asked);
        for (kind, data) in records {
            // The name of the question, class IN, for a minute.
            answer.extend([0xc0, 12]);
            answer.extend(kind.to_be_bytes());
            answer.extend([0, 1, 0, 0, 0, 60]);
            answer.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
            answer.extend(data);
        }
        Some(answer)
    }
}

fn encoded(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut octets = Vec::new();
    for label in labels {
        octets.push(u8::try_from(label.len()).unwrap());
        octets.extend(label.as_bytes());
    }
    octets.push(0);
    octets
}

/// The name at a place, and where it ends.
fn decoded(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        let label = message.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).into_owned());
        at += length;
    }
}
