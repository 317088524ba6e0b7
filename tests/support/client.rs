//! A plain SMTP client, in clear or under TLS, for tests that look at replies.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::program::PATIENCE;
use super::tls::{self, TlsStream};

pub struct Client {
    stream: Stream,
    /// What has come and is not taken yet.
    input: Vec<u8>,
    is_over: bool,
}

enum Stream {
    Clear(TcpStream),
    Tls(Box<TlsStream>),
    /// In the middle of a handshake.
    Changing,
}

impl Client {
    /// Connects and takes the greeting.
    pub fn connect(address: SocketAddr) -> Client {
        let mut client = Self::open(address);
        let greeting = client.reply();
        assert!(greeting.starts_with("220 "), "{greeting}");
        client
    }

    /// Connects, and leaves the greeting unread.
    pub fn open(address: SocketAddr) -> Client {
        Client {
            stream: Stream::Clear(tcp(address)),
            input: Vec::new(),
            is_over: false,
        }
    }

    /// Connects from another address of this machine, and takes the greeting.
    pub fn connect_from(source: IpAddr, address: SocketAddr) -> Client {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        let source = SocketAddr::new(source, 0);
        socket.bind(&source.into()).unwrap();
        socket.connect(&address.into()).unwrap();
        let mut client = Client {
            stream: Stream::Clear(patient(socket.into())),
            input: Vec::new(),
            is_over: false,
        };
        let greeting = client.reply();
        assert!(greeting.starts_with("220 "), "{greeting}");
        client
    }

    /// Connects if somebody listens, and leaves the greeting unread.
    pub fn reach(address: SocketAddr) -> Option<Client> {
        Some(Client {
            stream: Stream::Clear(patient(TcpStream::connect(address).ok()?)),
            input: Vec::new(),
            is_over: false,
        })
    }

    /// Whether anything comes, in clear, before that time is over.
    ///
    /// A kernel that closes a listening socket in the moment in which it completes a connection to it may leave the
    /// client with one that nobody has at the other end.
    pub fn is_greeted_within(&self, time: Duration) -> bool {
        let Stream::Clear(stream) = &self.stream else {
            unreachable!("asked in clear only");
        };
        stream.set_read_timeout(Some(time)).unwrap();
        let is_greeted = stream.peek(&mut [0]).is_ok_and(|octets| octets > 0);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        is_greeted
    }

    /// Connects with TLS from the first octet, and leaves the greeting unread. The certificate must
    /// be the one in that file, for `relay.test`.
    pub fn open_tls(address: SocketAddr, certificate: &Path) -> Client {
        let stream = tls::handshake(tcp(address), certificate).unwrap();
        Client {
            stream: Stream::Tls(Box::new(stream)),
            input: Vec::new(),
            is_over: false,
        }
    }

    /// The handshake after STARTTLS, with the same demand.
    pub fn start_tls(&mut self, certificate: &Path) {
        assert_eq!(
            self.input, b"",
            "the server talks between 220 and handshake"
        );
        let Stream::Clear(stream) = std::mem::replace(&mut self.stream, Stream::Changing) else {
            panic!("TLS within TLS");
        };
        self.stream = Stream::Tls(Box::new(tls::handshake(stream, certificate).unwrap()));
    }

    /// EHLO, STARTTLS, handshake and EHLO again; returns the second list.
    pub fn upgrade(&mut self, certificate: &Path) -> String {
        self.expect("EHLO client.test", "250");
        self.expect("STARTTLS", "220");
        self.start_tls(certificate);
        self.expect("EHLO client.test", "250")
    }

    /// Sends octets as they are. A connection that has ended shows in the next reply.
    pub fn send(&mut self, octets: &[u8]) {
        let sent = match &mut self.stream {
            Stream::Clear(stream) => stream.write_all(octets),
            Stream::Tls(stream) => stream.write_all(octets).and_then(|()| stream.flush()),
            Stream::Changing => unreachable!(),
        };
        // What the server said before it closed can still be read.
        drop(sent);
    }

    /// The next line without its CRLF; none when the connection has ended.
    pub fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.input.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                let line = String::from_utf8(line).unwrap();
                let line = line.strip_suffix("\r\n").expect("lines end with CRLF");
                return Some(line.to_owned());
            }
            if !self.fill() {
                assert_eq!(
                    self.input, b"",
                    "the connection ended in the middle of a line"
                );
                return None;
            }
        }
    }

    fn fill(&mut self) -> bool {
        let mut piece = [0; 4096];
        let read = match &mut self.stream {
            Stream::Clear(stream) => stream.read(&mut piece),
            Stream::Tls(stream) => stream.read(&mut piece),
            Stream::Changing => unreachable!(),
        };
        match read {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                panic!("the server says nothing for {PATIENCE:?}")
            }
            Ok(0) | Err(_) => {
                self.is_over = true;
                false
            }
            Ok(octets) => {
                self.input.extend_from_slice(&piece[..octets]);
                true
            }
        }
    }

    /// The connection itself, for clients that do not wait for replies.
    pub fn into_stream(self) -> TcpStream {
        match self.stream {
            Stream::Clear(stream) => stream,
            Stream::Tls(_) | Stream::Changing => panic!("the connection is not in clear"),
        }
    }

    /// Whether the end of the connection has been seen.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether the server closes without another word.
    pub fn is_closed(&mut self) -> bool {
        self.input.is_empty() && (self.is_over || !self.fill())
    }

    /// The next reply, its lines joined by newlines; empty when the connection has ended.
    pub fn reply(&mut self) -> String {
        let mut lines: Vec<String> = Vec::new();
        while let Some(line) = self.line() {
            let more = line.as_bytes().get(3) == Some(&b'-');
            lines.push(line);
            if !more {
                break;
            }
        }
        lines.join("\n")
    }

    /// Sends a command and returns its reply.
    pub fn command(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes());
        self.reply()
    }

    /// Sends a command whose reply must begin so.
    #[track_caller]
    pub fn expect(&mut self, line: &str, beginning: &str) -> String {
        let reply = self.command(line);
        assert!(
            reply.starts_with(beginning),
            "{line}: {reply:?}, not {beginning}"
        );
        reply
    }

    /// EHLO and AUTH PLAIN; the reply to the latter.
    pub fn log_in(&mut self, name: &str, password: &str) -> String {
        self.expect("EHLO client.test", "250");
        self.auth_plain(name, password)
    }

    /// AUTH PLAIN with an initial response.
    pub fn auth_plain(&mut self, name: &str, password: &str) -> String {
        self.command(&format!(
            "AUTH PLAIN {}",
            base64(&format!("\0{name}\0{password}"))
        ))
    }

    /// Sends a message and returns the reply that decided about it.
    pub fn message(&mut self, from: &str, to: &str, content: &str) -> String {
        self.transaction(&format!("<{from}>"), &[&format!("<{to}>")], content)
    }

    /// A transaction from what stands behind MAIL FROM: and each RCPT TO: to the end of the content;
    /// the first refusal, or else the reply to the content. Dots are stuffed here.
    pub fn transaction(&mut self, from: &str, to: &[&str], content: &str) -> String {
        let recipients = to.iter().map(|to| format!("RCPT TO:{to}"));
        let commands = std::iter::once(format!("MAIL FROM:{from}"))
            .chain(recipients)
            .chain(["DATA".to_owned()]);
        for command in commands {
            let reply = self.command(&command);
            if !reply.starts_with(['2', '3']) {
                if !reply.is_empty() && !reply.starts_with("421") {
                    self.expect("RSET", "250");
                }
                return reply;
            }
        }
        let stuffed = content.replace("\r\n.", "\r\n..");
        let dot = if stuffed.starts_with('.') { "." } else { "" };
        self.send(format!("{dot}{stuffed}\r\n.\r\n").as_bytes());
        self.reply()
    }
}

fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address);
    patient(stream.unwrap_or_else(|error| panic!("{address}: {error}")))
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A small message of that author, without the CRLF that ends it.
pub fn mail(from: &str, subject: &str) -> String {
    format!(
        "From: {from}\r\nTo: bob@d.example\r\nSubject: {subject}\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n\
         Message-ID: <{subject}@a.example>\r\n\r\nThe text of {subject}."
    )
}

/// The id in the reply that accepted a message.
#[track_caller]
pub fn message_id(reply: &str) -> String {
    let id = reply.strip_prefix("250 2.0.0 Queued as ");
    id.unwrap_or_else(|| panic!("not accepted: {reply:?}"))
        .to_owned()
}

/// The text in base 64.
pub fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for three in text.as_bytes().chunks(3) {
        let bits = three
            .iter()
            .fold(0u32, |bits, octet| bits << 8 | u32::from(*octet))
            << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place)) as usize & 63];
            encoded.push(if place <= three.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    encoded
}
