//! A plain SMTP client in clear, for tests that look at replies.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use super::program::PATIENCE;

pub struct Client {
    reader: BufReader<TcpStream>,
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
        let stream =
            TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client {
            reader: BufReader::new(stream),
        }
    }

    /// Sends octets as they are.
    pub fn send(&mut self, octets: &[u8]) {
        self.reader.get_mut().write_all(octets).unwrap();
    }

    /// The next reply, its lines joined by newlines; empty when the connection has ended.
    pub fn reply(&mut self) -> String {
        let mut lines: Vec<String> = Vec::new();
        loop {
            let mut line = String::new();
            match self.reader.read_line(&mut line) {
                Ok(0) | Err(_) => return lines.join("\n"),
                Ok(_) => {}
            }
            assert!(line.ends_with("\r\n"), "{line:?}");
            let more = line.as_bytes().get(3) == Some(&b'-');
            lines.push(line.trim_end().to_owned());
            if !more {
                return lines.join("\n");
            }
        }
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
            "{line}: {reply}, not {beginning}"
        );
        reply
    }

    /// EHLO and AUTH PLAIN.
    pub fn log_in(&mut self, name: &str, password: &str) -> String {
        self.expect("EHLO client.test", "250");
        self.command(&format!(
            "AUTH PLAIN {}",
            base64(&format!("\0{name}\0{password}"))
        ))
    }

    /// Sends a message and returns the reply that decided about it.
    pub fn message(&mut self, from: &str, to: &str, content: &str) -> String {
        for command in [
            format!("MAIL FROM:<{from}>"),
            format!("RCPT TO:<{to}>"),
            "DATA".to_owned(),
        ] {
            let reply = self.command(&command);
            if !reply.starts_with(['2', '3']) {
                self.expect("RSET", "250");
                return reply;
            }
        }
        self.send(content.as_bytes());
        self.send(b"\r\n.\r\n");
        self.reply()
    }
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
